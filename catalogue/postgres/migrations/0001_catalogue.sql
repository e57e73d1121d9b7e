-- Times are microseconds since 1970 in UTC, 0 for never; asset ids are UUIDv7. Both engines keep the same values, so that one set of SQL
-- serves them.

-- +goose Up
CREATE TABLE assets (
    id               uuid     PRIMARY KEY,
    state            text     NOT NULL CHECK (state IN ('uploading', 'stored', 'processing', 'ready', 'failed')),
    owner            text     NOT NULL,
    version          bigint   NOT NULL DEFAULT 1,
    filename         text     NOT NULL DEFAULT '',
    title            text     NOT NULL DEFAULT '',
    mime_type        text     NOT NULL DEFAULT '',
    media_type       text     NOT NULL DEFAULT '',
    size             bigint   NOT NULL,
    sha256           bytea,
    duration_ms      bigint   NOT NULL DEFAULT 0,
    fail_reason      text     NOT NULL DEFAULT '',
    storage_type     text     NOT NULL DEFAULT '',
    backend          text     NOT NULL DEFAULT '',
    object_key       text     NOT NULL DEFAULT '',
    external_url     text     NOT NULL DEFAULT '',
    is_public        boolean  NOT NULL DEFAULT FALSE,
    epoch            bigint   NOT NULL DEFAULT 0,
    access_count     bigint   NOT NULL DEFAULT 0,
    bytes_served     bigint   NOT NULL DEFAULT 0,
    last_accessed_at bigint   NOT NULL DEFAULT 0,
    kind             text     NOT NULL DEFAULT '',
    product_id       text     NOT NULL DEFAULT '',
    course_id        text     NOT NULL DEFAULT '',
    lesson_id        text     NOT NULL DEFAULT '',
    module_id        text     NOT NULL DEFAULT '',
    video_type       text     NOT NULL DEFAULT '',
    resource_name    text     NOT NULL DEFAULT '',
    resource_type    text     NOT NULL DEFAULT '',
    alt_text         text     NOT NULL DEFAULT '',
    is_main_image    boolean  NOT NULL DEFAULT FALSE,
    position         bigint   NOT NULL DEFAULT 0,
    reference_type   text     NOT NULL DEFAULT '',
    reference_id     text     NOT NULL DEFAULT '',
    metadata         bytea    NOT NULL,
    deferred         boolean  NOT NULL DEFAULT FALSE,
    partial          boolean  NOT NULL DEFAULT FALSE,
    final            boolean  NOT NULL DEFAULT FALSE,
    parts            bytea    NOT NULL,
    expires_at       bigint   NOT NULL DEFAULT 0,
    grant_id         text     NOT NULL DEFAULT '',
    created_at       bigint   NOT NULL,
    updated_at       bigint   NOT NULL,
    stored_at        bigint   NOT NULL DEFAULT 0,
    join_key         bytea    UNIQUE,
    reserved_bytes   bigint   NOT NULL DEFAULT 0,
    doomed_at        bigint   NOT NULL DEFAULT 0
);
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
    asset_id         uuid     PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_product_id text     NOT NULL,
    alt_text         text     NOT NULL,
    is_main_image    boolean  NOT NULL,
    position         bigint   NOT NULL,
    storage_type     text     NOT NULL,
    file_size        bigint   NOT NULL,
    mime_type        text     NOT NULL,
    uploaded_by      text     NOT NULL,
    created_at       bigint   NOT NULL,
    updated_at       bigint   NOT NULL
);
CREATE INDEX product_images_product ON product_images (mongo_product_id, created_at, asset_id);
CREATE UNIQUE INDEX product_images_main ON product_images (mongo_product_id) WHERE is_main_image;
CREATE INDEX product_images_storage_type ON product_images (storage_type, created_at, asset_id);
CREATE INDEX product_images_created ON product_images (created_at, asset_id);

CREATE TABLE course_videos (
    asset_id         uuid     PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_course_id  text     NOT NULL,
    mongo_lesson_id  text     NOT NULL,
    mongo_module_id  text     NOT NULL,
    video_type       text     NOT NULL,
    position         bigint   NOT NULL,
    storage_type     text     NOT NULL,
    file_size        bigint   NOT NULL,
    mime_type        text     NOT NULL,
    uploaded_by      text     NOT NULL,
    created_at       bigint   NOT NULL,
    updated_at       bigint   NOT NULL
);
CREATE INDEX course_videos_course ON course_videos (mongo_course_id, created_at, asset_id);
CREATE INDEX course_videos_lesson ON course_videos (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_videos_lesson_alone ON course_videos (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_videos_type ON course_videos (mongo_course_id, video_type, created_at, asset_id);
CREATE INDEX course_videos_storage_type ON course_videos (storage_type, created_at, asset_id);
CREATE INDEX course_videos_created ON course_videos (created_at, asset_id);

CREATE TABLE course_resources (
    asset_id         uuid     PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    mongo_course_id  text     NOT NULL,
    mongo_lesson_id  text     NOT NULL,
    resource_name    text     NOT NULL,
    resource_type    text     NOT NULL,
    position         bigint   NOT NULL,
    storage_type     text     NOT NULL,
    file_size        bigint   NOT NULL,
    mime_type        text     NOT NULL,
    uploaded_by      text     NOT NULL,
    created_at       bigint   NOT NULL,
    updated_at       bigint   NOT NULL
);
CREATE INDEX course_resources_course ON course_resources (mongo_course_id, created_at, asset_id);
CREATE INDEX course_resources_lesson ON course_resources (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_resources_lesson_alone ON course_resources (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_resources_type ON course_resources (resource_type, created_at, asset_id);
CREATE INDEX course_resources_storage_type ON course_resources (storage_type, created_at, asset_id);
CREATE INDEX course_resources_created ON course_resources (created_at, asset_id);

CREATE TABLE media_storage (
    asset_id         uuid     PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    reference_type   text     NOT NULL,
    reference_id     text     NOT NULL,
    media_type       text     NOT NULL,
    position         bigint   NOT NULL,
    storage_type     text     NOT NULL,
    file_size        bigint   NOT NULL,
    mime_type        text     NOT NULL,
    uploaded_by      text     NOT NULL,
    created_at       bigint   NOT NULL,
    updated_at       bigint   NOT NULL
);
CREATE INDEX media_storage_reference ON media_storage (reference_id, reference_type, media_type, created_at, asset_id) WHERE reference_id <> '';
CREATE INDEX media_storage_reference_type ON media_storage (reference_type, created_at, asset_id) WHERE reference_type <> '';
CREATE INDEX media_storage_media_type ON media_storage (media_type, created_at, asset_id);
CREATE INDEX media_storage_storage_type ON media_storage (storage_type, created_at, asset_id);
CREATE INDEX media_storage_created ON media_storage (created_at, asset_id);
CREATE INDEX media_storage_size ON media_storage (file_size, asset_id);

-- How often an asset was fetched, by hour.
CREATE TABLE accesses (
    asset_id         uuid     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    hour             bigint   NOT NULL,
    views            bigint   NOT NULL,
    bytes            bigint   NOT NULL,
    PRIMARY KEY (asset_id, hour)
);

-- How far each journal of accesses has been counted.
CREATE TABLE journals (
    name             text     PRIMARY KEY,
    position         bigint   NOT NULL
);

-- What each owner keeps, reservations included: the sum over lanes. Lanes spare uploads without a quota from waiting for one row.
CREATE TABLE owners (
    owner            text     NOT NULL,
    lane             bigint   NOT NULL,
    used_bytes       bigint   NOT NULL,
    PRIMARY KEY (owner, lane)
);

-- Upload grants that were used. They outlive their asset: a grant opens one upload, ever.
CREATE TABLE grants (
    grant_id         text     PRIMARY KEY,
    asset_id         uuid     NOT NULL,
    used_at          bigint   NOT NULL
);

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
