-- Who may no longer use tickets that were given before. A denial outlives its asset, and names it by zeros when it means all.

-- +goose Up
CREATE TABLE denials (
    id               TEXT     NOT NULL PRIMARY KEY,
    viewer           TEXT     NOT NULL,
    course_id        TEXT     NOT NULL,
    asset_id         BLOB     NOT NULL,
    expires_at       INTEGER  NOT NULL,
    created_by       TEXT     NOT NULL,
    created_at       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE denials;
