-- Who may no longer use tickets that were given before. A denial outlives its asset, and names it by zeros when it means all.

-- +goose Up
CREATE TABLE denials (
    id               text     PRIMARY KEY,
    viewer           text     NOT NULL,
    course_id        text     NOT NULL,
    asset_id         uuid     NOT NULL,
    expires_at       bigint   NOT NULL,
    created_by       text     NOT NULL,
    created_at       bigint   NOT NULL
);

-- +goose Down
DROP TABLE denials;
