-- An asset may stand in several places, what is deleted may be put back for a while, and work on both databases is remembered until it is done.

-- +goose Up
-- content_id names the bytes and place_id the home's row where they are not the asset's own id; also lists the entities of the further places
-- as JSON. Of what is doomed, kept says that the trash has a place of it: its bytes stay.
ALTER TABLE assets ADD COLUMN content_id BLOB;
ALTER TABLE assets ADD COLUMN place_id BLOB;
ALTER TABLE assets ADD COLUMN also TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN unchecked INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE assets ADD COLUMN vouched INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE assets ADD COLUMN kept INTEGER NOT NULL DEFAULT FALSE;
DROP INDEX assets_doomed;
CREATE INDEX assets_doomed ON assets (created_at, id) WHERE doomed_at <> 0 AND NOT kept;
CREATE INDEX assets_unchecked ON assets (created_at, id) WHERE unchecked AND doomed_at = 0 AND NOT partial;

-- Each place gets an id of its own: the one there is keeps that of its asset. What these tables repeat of assets is changed along with it.
CREATE TABLE before_places AS SELECT * FROM product_images;
DROP TABLE product_images;
CREATE TABLE product_images (
    id               BLOB     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
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
INSERT INTO product_images (id, asset_id, mongo_product_id, alt_text, is_main_image, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT asset_id, asset_id, mongo_product_id, alt_text, is_main_image, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at FROM before_places;
DROP TABLE before_places;
CREATE INDEX product_images_asset ON product_images (asset_id);
CREATE INDEX product_images_product ON product_images (mongo_product_id, created_at, asset_id);
CREATE UNIQUE INDEX product_images_main ON product_images (mongo_product_id) WHERE is_main_image;
CREATE INDEX product_images_storage_type ON product_images (storage_type, created_at, asset_id);
CREATE INDEX product_images_created ON product_images (created_at, asset_id);
CREATE INDEX product_images_size ON product_images (file_size, asset_id);

CREATE TABLE before_places AS SELECT * FROM course_videos;
DROP TABLE course_videos;
CREATE TABLE course_videos (
    id               BLOB     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
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
INSERT INTO course_videos (id, asset_id, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT asset_id, asset_id, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at FROM before_places;
DROP TABLE before_places;
CREATE INDEX course_videos_asset ON course_videos (asset_id);
CREATE INDEX course_videos_course ON course_videos (mongo_course_id, created_at, asset_id);
CREATE INDEX course_videos_lesson ON course_videos (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_videos_lesson_alone ON course_videos (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_videos_type ON course_videos (mongo_course_id, video_type, created_at, asset_id);
CREATE INDEX course_videos_storage_type ON course_videos (storage_type, created_at, asset_id);
CREATE INDEX course_videos_created ON course_videos (created_at, asset_id);
CREATE INDEX course_videos_module ON course_videos (mongo_module_id, created_at, asset_id) WHERE mongo_module_id <> '';
CREATE INDEX course_videos_size ON course_videos (file_size, asset_id);

CREATE TABLE before_places AS SELECT * FROM course_resources;
DROP TABLE course_resources;
CREATE TABLE course_resources (
    id               BLOB     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
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
INSERT INTO course_resources (id, asset_id, mongo_course_id, mongo_lesson_id, resource_name, resource_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT asset_id, asset_id, mongo_course_id, mongo_lesson_id, resource_name, resource_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at FROM before_places;
DROP TABLE before_places;
CREATE INDEX course_resources_asset ON course_resources (asset_id);
CREATE INDEX course_resources_course ON course_resources (mongo_course_id, created_at, asset_id);
CREATE INDEX course_resources_lesson ON course_resources (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_resources_lesson_alone ON course_resources (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_resources_type ON course_resources (resource_type, created_at, asset_id);
CREATE INDEX course_resources_storage_type ON course_resources (storage_type, created_at, asset_id);
CREATE INDEX course_resources_created ON course_resources (created_at, asset_id);
CREATE INDEX course_resources_size ON course_resources (file_size, asset_id);

CREATE TABLE before_places AS SELECT * FROM media_storage;
DROP TABLE media_storage;
CREATE TABLE media_storage (
    id               BLOB     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
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
INSERT INTO media_storage (id, asset_id, reference_type, reference_id, media_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT asset_id, asset_id, reference_type, reference_id, media_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at FROM before_places;
DROP TABLE before_places;
CREATE INDEX media_storage_asset ON media_storage (asset_id);
CREATE INDEX media_storage_reference ON media_storage (reference_id, reference_type, media_type, created_at, asset_id) WHERE reference_id <> '';
CREATE INDEX media_storage_reference_type ON media_storage (reference_type, created_at, asset_id) WHERE reference_type <> '';
CREATE INDEX media_storage_media_type ON media_storage (media_type, created_at, asset_id);
CREATE INDEX media_storage_storage_type ON media_storage (storage_type, created_at, asset_id);
CREATE INDEX media_storage_created ON media_storage (created_at, asset_id);
CREATE INDEX media_storage_size ON media_storage (file_size, asset_id);

-- Places that were taken away. What a row says of its place is JSON, as no query looks into it; of_type and of_id name the entity that was
-- deleted with all that hung on it.
CREATE TABLE trash (
    id               BLOB     NOT NULL PRIMARY KEY,
    asset_id         BLOB     NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    kind             TEXT     NOT NULL,
    placement        TEXT     NOT NULL,
    of_type          TEXT     NOT NULL,
    of_id            TEXT     NOT NULL,
    deleted_by       TEXT     NOT NULL,
    deleted_at       INTEGER  NOT NULL,
    keep_until       INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_asset ON trash (asset_id);
CREATE INDEX trash_of ON trash (of_id, of_type) WHERE of_id <> '';
CREATE INDEX trash_deleted ON trash (deleted_at, id);
CREATE INDEX trash_deleted_by ON trash (deleted_by, deleted_at, id);
CREATE INDEX trash_until ON trash (keep_until, id);

-- Work on both databases, from before its first step until after its last.
CREATE TABLE intents (
    id               TEXT     NOT NULL PRIMARY KEY,
    doing            TEXT     NOT NULL,
    subject_type     TEXT     NOT NULL,
    subject_id       TEXT     NOT NULL,
    acted_by         TEXT     NOT NULL,
    state            TEXT     NOT NULL,
    keep_until       INTEGER  NOT NULL,
    begun_at         INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_begun ON intents (begun_at, id);

-- +goose Down
-- Only an asset's home is kept of its places. What is in the trash is let go, and what waits for its place to be looked at has none.
DROP TABLE intents;
DROP TABLE trash;
INSERT INTO owners (owner, lane, used_bytes) SELECT owner, 0, -SUM(reserved_bytes) FROM assets WHERE kept GROUP BY owner
    ON CONFLICT (owner, lane) DO UPDATE SET used_bytes = owners.used_bytes + excluded.used_bytes;
UPDATE assets SET kind = 'media', product_id = '', course_id = '', lesson_id = '', module_id = '', video_type = '', resource_name = '',
    resource_type = '', alt_text = '', is_main_image = FALSE, position = 0, reference_type = '', reference_id = '' WHERE unchecked;
INSERT INTO media_storage (id, asset_id, reference_type, reference_id, media_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT COALESCE(place_id, id), id, '', '', media_type, 0, storage_type, size, mime_type, owner, created_at, updated_at
    FROM assets WHERE unchecked AND state <> 'uploading' AND doomed_at = 0 AND NOT partial;
CREATE TABLE before_places AS SELECT * FROM product_images;
DROP TABLE product_images;
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
INSERT INTO product_images (asset_id, mongo_product_id, alt_text, is_main_image, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT b.asset_id, b.mongo_product_id, b.alt_text, b.is_main_image, b.position, b.storage_type, b.file_size, b.mime_type, b.uploaded_by, b.created_at, b.updated_at FROM before_places b
    JOIN assets a ON a.id = b.asset_id AND COALESCE(a.place_id, a.id) = b.id;
DROP TABLE before_places;
CREATE INDEX product_images_product ON product_images (mongo_product_id, created_at, asset_id);
CREATE UNIQUE INDEX product_images_main ON product_images (mongo_product_id) WHERE is_main_image;
CREATE INDEX product_images_storage_type ON product_images (storage_type, created_at, asset_id);
CREATE INDEX product_images_created ON product_images (created_at, asset_id);

CREATE TABLE before_places AS SELECT * FROM course_videos;
DROP TABLE course_videos;
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
INSERT INTO course_videos (asset_id, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT b.asset_id, b.mongo_course_id, b.mongo_lesson_id, b.mongo_module_id, b.video_type, b.position, b.storage_type, b.file_size, b.mime_type, b.uploaded_by, b.created_at, b.updated_at FROM before_places b
    JOIN assets a ON a.id = b.asset_id AND COALESCE(a.place_id, a.id) = b.id;
DROP TABLE before_places;
CREATE INDEX course_videos_course ON course_videos (mongo_course_id, created_at, asset_id);
CREATE INDEX course_videos_lesson ON course_videos (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_videos_lesson_alone ON course_videos (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_videos_type ON course_videos (mongo_course_id, video_type, created_at, asset_id);
CREATE INDEX course_videos_storage_type ON course_videos (storage_type, created_at, asset_id);
CREATE INDEX course_videos_created ON course_videos (created_at, asset_id);

CREATE TABLE before_places AS SELECT * FROM course_resources;
DROP TABLE course_resources;
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
INSERT INTO course_resources (asset_id, mongo_course_id, mongo_lesson_id, resource_name, resource_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT b.asset_id, b.mongo_course_id, b.mongo_lesson_id, b.resource_name, b.resource_type, b.position, b.storage_type, b.file_size, b.mime_type, b.uploaded_by, b.created_at, b.updated_at FROM before_places b
    JOIN assets a ON a.id = b.asset_id AND COALESCE(a.place_id, a.id) = b.id;
DROP TABLE before_places;
CREATE INDEX course_resources_course ON course_resources (mongo_course_id, created_at, asset_id);
CREATE INDEX course_resources_lesson ON course_resources (mongo_course_id, mongo_lesson_id, created_at, asset_id);
CREATE INDEX course_resources_lesson_alone ON course_resources (mongo_lesson_id, created_at, asset_id) WHERE mongo_lesson_id <> '';
CREATE INDEX course_resources_type ON course_resources (resource_type, created_at, asset_id);
CREATE INDEX course_resources_storage_type ON course_resources (storage_type, created_at, asset_id);
CREATE INDEX course_resources_created ON course_resources (created_at, asset_id);

CREATE TABLE before_places AS SELECT * FROM media_storage;
DROP TABLE media_storage;
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
INSERT INTO media_storage (asset_id, reference_type, reference_id, media_type, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
    SELECT b.asset_id, b.reference_type, b.reference_id, b.media_type, b.position, b.storage_type, b.file_size, b.mime_type, b.uploaded_by, b.created_at, b.updated_at FROM before_places b
    JOIN assets a ON a.id = b.asset_id AND COALESCE(a.place_id, a.id) = b.id;
DROP TABLE before_places;
CREATE INDEX media_storage_reference ON media_storage (reference_id, reference_type, media_type, created_at, asset_id) WHERE reference_id <> '';
CREATE INDEX media_storage_reference_type ON media_storage (reference_type, created_at, asset_id) WHERE reference_type <> '';
CREATE INDEX media_storage_media_type ON media_storage (media_type, created_at, asset_id);
CREATE INDEX media_storage_storage_type ON media_storage (storage_type, created_at, asset_id);
CREATE INDEX media_storage_created ON media_storage (created_at, asset_id);
CREATE INDEX media_storage_size ON media_storage (file_size, asset_id);

DROP INDEX assets_unchecked;
DROP INDEX assets_doomed;
CREATE INDEX assets_doomed ON assets (created_at, id) WHERE doomed_at <> 0;
ALTER TABLE assets DROP COLUMN kept;
ALTER TABLE assets DROP COLUMN vouched;
ALTER TABLE assets DROP COLUMN unchecked;
ALTER TABLE assets DROP COLUMN also;
ALTER TABLE assets DROP COLUMN place_id;
ALTER TABLE assets DROP COLUMN content_id;
