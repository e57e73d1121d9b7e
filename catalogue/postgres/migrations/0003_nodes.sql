-- What several nodes decide together: which views count, whose tickets are worth nothing, and which requests were made before.

-- +goose Up
-- Views that nodes offered within the last day, counted or not. An asset that is gone leaves its rows to their age: a foreign key would
-- cost as much as the insert.
CREATE TABLE views (
    asset_id         uuid     NOT NULL,
    session          bigint   NOT NULL,
    viewed_at        bigint   NOT NULL,
    counted          boolean  NOT NULL,
    noted_at         bigint   NOT NULL,
    PRIMARY KEY (asset_id, session, viewed_at)
);
CREATE INDEX views_noted ON views (noted_at);

-- The signing key whose tickets are denied; -1 is none, as 0 is a key.
ALTER TABLE denials ADD COLUMN key_id bigint NOT NULL DEFAULT -1;

-- Answers to requests that came with an Idempotency-Key; without one while the first of them runs. Ids and answers tell nothing to who does
-- not know the key.
CREATE TABLE replays (
    id               text     PRIMARY KEY,
    request          text     NOT NULL,
    claim            text     NOT NULL,
    answer           bytea,
    made_at          bigint   NOT NULL
);
CREATE INDEX replays_made ON replays (made_at);

-- +goose Down
DROP TABLE replays;
DELETE FROM denials WHERE key_id >= 0; -- without the column they would deny everybody
ALTER TABLE denials DROP COLUMN key_id;
DROP TABLE views;
