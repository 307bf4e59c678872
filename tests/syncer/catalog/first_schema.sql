-- A catalog of the first schema with something in every table, as a syncer left it that was killed.
-- {word} and {bytes} are the database's types, the rest is what the test's tree holds.

CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0001');

CREATE TABLE about (key {word} NOT NULL PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO about VALUES ('mirror_id', '{mirror_id}');
INSERT INTO about VALUES ('paused', 'yes');

CREATE TABLE project (
  name {word} NOT NULL PRIMARY KEY, state {word} NOT NULL, serial BIGINT, etag TEXT, last_modified TEXT,
  fingerprint {word}, file_count INTEGER NOT NULL, stored_bytes BIGINT NOT NULL, withheld_files INTEGER NOT NULL,
  missing_files INTEGER NOT NULL, published BOOLEAN NOT NULL, attempts INTEGER NOT NULL, due_at BIGINT,
  checked_at BIGINT, changed_at BIGINT, error TEXT
);
CREATE INDEX project_state ON project (state, name);
CREATE INDEX project_listed ON project (published, name, serial);
INSERT INTO project VALUES
  ('six', 'current', 7, NULL, NULL, 'f1', 2, 3000, 0, 0, true, 0, NULL, 1790000000, 1790000000, NULL),
  ('idna', 'partial', 8, '"e"', NULL, 'f1', 1, 1500, 0, 1, true, 2, 1790000300, 1790000000, 1790000000, '1 missing'),
  ('flask', 'failing', NULL, NULL, NULL, NULL, 0, 0, 0, 0, false, 3, NULL, 1790000000, NULL, 'HTTP 500'),
  ('left', 'withdrawn', NULL, NULL, NULL, NULL, 0, 0, 0, 0, false, 0, NULL, 1790000000, 1790000000, NULL);

CREATE TABLE kept_page (
  name {word} NOT NULL PRIMARY KEY, url TEXT NOT NULL, content_type {word} NOT NULL, serial BIGINT, body {bytes} NOT NULL
);
INSERT INTO kept_page VALUES (
  'idna', 'https://pypi.org/simple/idna/', 'application/vnd.pypi.simple.v1+json', 8, {body}
);

CREATE TABLE run (
  id {word} NOT NULL PRIMARY KEY, kind {word} NOT NULL, state {word} NOT NULL, whole BOOLEAN NOT NULL,
  finished_at BIGINT, document TEXT NOT NULL
);
CREATE INDEX run_state ON run (state, id);
INSERT INTO run VALUES
  ('20260922T000000000-aaaaaa', 'sync', 'incomplete', true, 1790035300,
   '{{"id": "20260922T000000000-aaaaaa", "request": {{"kind": "sync"}}, "trigger": "schedule", "state": "incomplete",
     "created_at": "2026-09-22T00:00:00Z", "started_at": "2026-09-22T00:00:00Z", "finished_at": "2026-09-22T00:01:40Z",
     "counts": {{"projects_planned": 3, "projects_done": 3, "projects_failed": 1}},
     "failures": [{{"project": "flask", "reason": "HTTP 500"}}], "message": "1 project(s) could not be refreshed"}}'),
  ('20260922T003000000-bbbbbb', 'sync', 'running', true, NULL,
   '{{"id": "20260922T003000000-bbbbbb", "request": {{"kind": "sync"}}, "trigger": "api", "state": "running",
     "created_at": "2026-09-22T00:30:00Z", "started_at": "2026-09-22T00:30:00Z"}}');

CREATE TABLE run_key (key {word} NOT NULL PRIMARY KEY, run_id {word} NOT NULL);
INSERT INTO run_key VALUES ('nightly', '20260922T003000000-bbbbbb');

-- A row a file, until the third schema: one of six's that is published, one of idna's that never came.
CREATE TABLE pending (
  project {word} NOT NULL, place {word} NOT NULL, sha256 {word} NOT NULL, withdraw BOOLEAN NOT NULL,
  PRIMARY KEY (project, place)
);
CREATE INDEX pending_place ON pending (place);
INSERT INTO pending VALUES
  ('six', '{place}', '{sha256}', false),
  ('idna', 'packages/00/idna-9.0.tar.gz', '{zeros}', false),
  ('idna', 'packages/01/idna-9.1.tar.gz', '{zeros}', true);

-- One that is due, one that may wait, and a place that has been empty since.
CREATE TABLE retired (
  place {word} NOT NULL PRIMARY KEY, sha256 {word} NOT NULL, project {word} NOT NULL, due_at BIGINT,
  withdraw BOOLEAN NOT NULL
);
CREATE INDEX retired_due ON retired (due_at, project);
INSERT INTO retired VALUES
  ('packages/02/six-0.1.tar.gz', '{zeros}', 'six', 1790000000, false),
  ('packages/03/six-0.2.tar.gz', '{zeros}', 'six', 99000000000, true),
  ('packages/04/six-0.3.tar.gz', '{zeros}', 'six', NULL, false);
