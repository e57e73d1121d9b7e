-- Documents of the LMS, and those in the trash. Times are Unix milliseconds.
CREATE TABLE records (
	trash      INTEGER NOT NULL,
	type       TEXT    NOT NULL,
	id         TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	buried_at  INTEGER NOT NULL, -- 0: not in the trash
	pending    INTEGER NOT NULL,
	listed     INTEGER NOT NULL,
	owner      TEXT    NOT NULL,
	doc        TEXT    NOT NULL,
	category   TEXT GENERATED ALWAYS AS (doc ->> '$.category') VIRTUAL,
	PRIMARY KEY (type, id, trash)
) STRICT;

CREATE INDEX records_newest ON records (type, created_at DESC, id DESC) WHERE trash = 0 AND pending = 0;
CREATE INDEX records_owner ON records (type, owner, created_at DESC, id DESC) WHERE trash = 0 AND pending = 0;
CREATE INDEX records_category ON records (type, category, created_at DESC, id DESC) WHERE trash = 0 AND pending = 0;

CREATE INDEX records_trash ON records (buried_at, type, id) WHERE trash = 1;

-- Which courses have a lesson.
CREATE TABLE lessons (
	lesson TEXT NOT NULL,
	course TEXT NOT NULL,
	PRIMARY KEY (lesson, course)
) STRICT, WITHOUT ROWID;
CREATE INDEX lessons_course ON lessons (course);

-- Holds a row from the first document on, for good: until then no LMS keeps its records here.
CREATE TABLE touched (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;

PRAGMA user_version = 1;
