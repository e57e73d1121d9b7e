-- Times are microseconds since 1970 in UTC, 0 for never; asset ids are UUIDv7. Both engines keep the same values, so that one set of SQL
-- serves them.

-- +goose Up
CREATE TABLE assets (
    id               BLOB     NOT NULL PRIMARY KEY,
    state            TEXT     NOT NULL CHECK (state IN ('uploading', 'stored', 'processing', 'ready', 'failed')),
    owner            TEXT     NOT NULL,
    version          INTEGER  NOT NULL DEFAULT 1,
    filename         TEXT     NOT NULL DEFAULT '',
    title            TEXT     NOT NULL DEFAULT '',
    mime_type        TEXT     NOT NULL DEFAULT '',
    media_type       TEXT     NOT NULL DEFAULT '',
    size             INTEGER  NOT NULL,
    sha256           BLOB,
    duration_ms      INTEGER  NOT NULL DEFAULT 0,
    fail_reason      TEXT     NOT NULL DEFAULT '',
    storage_type     TEXT     NOT NULL DEFAULT '',
    backend          TEXT     NOT NULL DEFAULT '',
    object_key       TEXT     NOT NULL DEFAULT '',
    external_url     TEXT     NOT NULL DEFAULT '',
    is_public        INTEGER  NOT NULL DEFAULT FALSE,
    epoch            INTEGER  NOT NULL DEFAULT 0,
    access_count     INTEGER  NOT NULL DEFAULT 0,
    bytes_served     INTEGER  NOT NULL DEFAULT 0,
    last_accessed_at INTEGER  NOT NULL DEFAULT 0,
    kind             TEXT     NOT NULL DEFAULT '',
    product_id       TEXT     NOT NULL DEFAULT '',
    course_id        TEXT     NOT NULL DEFAULT '',
    lesson_id        TEXT     NOT NULL DEFAULT '',
    module_id        TEXT     NOT NULL DEFAULT '',
    video_type       TEXT     NOT NULL DEFAULT '',
    resource_name    TEXT     NOT NULL DEFAULT '',
    resource_type    TEXT     NOT NULL DEFAULT '',
    alt_text         TEXT     NOT NULL DEFAULT '',
    is_main_image    INTEGER  NOT NULL DEFAULT FALSE,
    position         INTEGER  NOT NULL DEFAULT 0,
    reference_type   TEXT     NOT NULL DEFAULT '',
    reference_id     TEXT     NOT NULL DEFAULT '',
    metadata         BLOB     NOT NULL,
    deferred         INTEGER  NOT NULL DEFAULT FALSE,
    partial          INTEGER  NOT NULL DEFAULT FALSE,
    final            INTEGER  NOT NULL DEFAULT FALSE,
    parts            BLOB     NOT NULL,
    expires_at       INTEGER  NOT NULL DEFAULT 0,
    grant_id         TEXT     NOT NULL DEFAULT '',
    created_at       INTEGER  NOT NULL,
    updated_at       INTEGER  NOT NULL,
    stored_at        INTEGER  NOT NULL DEFAULT 0,
    join_key         BLOB     UNIQUE,
    reserved_bytes   INTEGER  NOT NULL DEFAULT 0,
    doomed_at        INTEGER  NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX assets_created ON assets (created_at, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_size ON assets (size, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_access_count ON assets (access_count, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_owner ON assets (owner, created_at, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_public ON assets (created_at, id) WHERE doomed_at = 0 AND NOT partial AND is_public;
CREATE INDEX assets_media_type ON assets (media_type, created_at, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_storage_type ON assets (storage_type, created_at, id) WHERE doomed_at = 0 AND NOT partial;
CREATE INDEX assets_object ON assets (object_key, backend);
CREATE INDEX assets_unfinished ON assets (created_at, id) WHERE state = 'uploading' AND doomed_at = 0;
CREATE INDEX assets_open ON assets (owner, created_at, id) WHERE state = 'uploading' AND doomed_at = 0;
CREATE INDEX assets_unsettled ON assets (created_at, id) WHERE state = 'stored' AND doomed_at = 0;
CREATE INDEX assets_doomed ON assets (created_at, id) WHERE doomed_at <> 0;

-- Where finished assets belong. What these tables repeat of assets never changes once an asset is stored.
CREATE TABLE product_images (
    asset_id         BLOB     NOT NULL PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_product_id TEXT     NOT NULL,
    alt_text         TEXT     NOT NULL,
    is_main_image    INTEGER  NOT NULL,
    position         INTEGER  NOT NULL,
    storage_type     TEXT     NOT NULL,
    file_size        INTEGER  NOT NULL,
    mime_type        TEXT     NOT NULL,
    uploaded_by      TEXT     NOT NULL,
    created_at       INTEGER  NOT NULL,
    updated_at       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX product_images_product ON product_images (mongo_product_id, created_at, asset_id);
CREATE UNIQUE INDEX product_images_main ON product_images (mongo_product_id) WHERE is_main_image;
CREATE INDEX product_images_storage_type ON product_images (storage_type, created_at, asset_id);
CREATE INDEX product_images_created ON product_images (created_at, asset_id);

CREATE TABLE course_videos (
    asset_id         BLOB     NOT NULL PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_course_id  TEXT     NOT NULL,
    mongo_lesson_id  TEXT     NOT NULL,
    mongo_module_id  TEXT     NOT NULL,
    video_type       TEXT     NOT NULL,
    position         INTEGER  NOT NULL,
    storage_type     TEXT     NOT NULL,
    file_size        INTEGER  NOT NULL,
    mime_type        TEXT     NOT NULL,
    uploaded_by      TEXT     NOT NULL,
    created_at       INTEGER  NOT NULL,
    updated_at       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX course_videos_course ON course_videos (mongo_course_id, created_at, asset_id);
CREATE INDEX course_videos_lesson ON course_videos (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_videos_lesson_alone ON course_videos (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_videos_type ON course_videos (mongo_course_id, video_type, created_at, asset_id);
CREATE INDEX course_videos_storage_type ON course_videos (storage_type, created_at, asset_id);
CREATE INDEX course_videos_created ON course_videos (created_at, asset_id);

CREATE TABLE course_resources (
    asset_id         BLOB     NOT NULL PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_course_id  TEXT     NOT NULL,
    mongo_lesson_id  TEXT     NOT NULL,
    resource_name    TEXT     NOT NULL,
    resource_type    TEXT     NOT NULL,
    position         INTEGER  NOT NULL,
    storage_type     TEXT     NOT NULL,
    file_size        INTEGER  NOT NULL,
    mime_type        TEXT     NOT NULL,
    uploaded_by      TEXT     NOT NULL,
    created_at       INTEGER  NOT NULL,
    updated_at       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX course_resources_course ON course_resources (mongo_course_id, created_at, asset_id);
CREATE INDEX course_resources_lesson ON course_resources (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_resources_lesson_alone ON course_resources (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_resources_type ON course_resources (resource_type, created_at, asset_id);
CREATE INDEX course_resources_storage_type ON course_resources (storage_type, created_at, asset_id);
CREATE INDEX course_resources_created ON course_resources (created_at, asset_id);

CREATE TABLE media_storage (
    asset_id         BLOB     NOT NULL PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    reference_type   TEXT     NOT NULL,
    reference_id     TEXT     NOT NULL,
    media_type       TEXT     NOT NULL,
    position         INTEGER  NOT NULL,
    storage_type     TEXT     NOT NULL,
    file_size        INTEGER  NOT NULL,
    mime_type        TEXT     NOT NULL,
    uploaded_by      TEXT     NOT NULL,
    created_at       INTEGER  NOT NULL,
    updated_at       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX media_storage_reference ON media_storage (reference_id, reference_type, media_type, created_at, asset_id) WHERE reference_id <> '';
CREATE INDEX media_storage_reference_type ON media_storage (reference_type, created_at, asset_id) WHERE reference_type <> '';
CREATE INDEX media_storage_media_type ON media_storage (media_type, created_at, asset_id);
CREATE INDEX media_storage_storage_type ON media_storage (storage_type, created_at, asset_id);
CREATE INDEX media_storage_created ON media_storage (created_at, asset_id);
CREATE INDEX media_storage_size ON media_storage (file_size, asset_id);

-- How often an asset was fetched, by hour.
CREATE TABLE accesses (
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    hour             INTEGER  NOT NULL,
    views            INTEGER  NOT NULL,
    bytes            INTEGER  NOT NULL,
    PRIMARY KEY (asset_id, hour)
) STRICT, WITHOUT ROWID;

-- How far each journal of accesses has been counted.
CREATE TABLE journals (
    name             TEXT     NOT NULL PRIMARY KEY,
    position         INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;

-- What each owner keeps, reservations included: the sum over lanes. Lanes spare uploads without a quota from waiting for one row.
CREATE TABLE owners (
    owner            TEXT     NOT NULL,
    lane             INTEGER  NOT NULL,
    used_bytes       INTEGER  NOT NULL,
    PRIMARY KEY (owner, lane)
) STRICT, WITHOUT ROWID;

-- Upload grants that were used. They outlive their asset: a grant opens one upload, ever.
CREATE TABLE grants (
    grant_id         TEXT     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL,
    used_at          INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE grants;
DROP TABLE owners;
DROP TABLE journals;
DROP TABLE accesses;
DROP TABLE media_storage;
DROP TABLE course_resources;
DROP TABLE course_videos;
DROP TABLE product_images;
DROP TABLE assets;
