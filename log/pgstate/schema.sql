-- What the instances of one log share. Made by "vasistas-log init".
CREATE SCHEMA vasistas;

CREATE TABLE vasistas.meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version integer NOT NULL
);

-- The lease of the active instance, whose name is in url. The term grows with each.
CREATE TABLE vasistas.lease (
	one      boolean PRIMARY KEY DEFAULT true CHECK (one),
	holder   text NOT NULL,
	url      text NOT NULL,
	term     bigint NOT NULL CHECK (term >= 0),
	seconds  integer NOT NULL CHECK (seconds > 0),
	acquired timestamptz NOT NULL,
	renewed  timestamptz NOT NULL,
	version  bigint NOT NULL
);

-- Which log this is, and the last head that it signed. No row: it is not founded.
CREATE TABLE vasistas.log (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	origin  text NOT NULL CHECK (origin <> ''),
	charter bytea NOT NULL CHECK (octet_length(charter) = 32),
	head    bytea NOT NULL CHECK (octet_length(head) > 0),
	term    bigint NOT NULL -- that the head was recorded in
);

CREATE TABLE vasistas.published (
	one        boolean PRIMARY KEY DEFAULT true CHECK (one),
	size       bigint NOT NULL CHECK (size > 0),
	checkpoint bytea NOT NULL CHECK (octet_length(checkpoint) > 0),
	charter    bigint NOT NULL CHECK (charter >= 0 AND charter < size)
);

-- The checkpoint that met the audit policy last. No row: there is none.
CREATE TABLE vasistas.audited (
	one        boolean PRIMARY KEY DEFAULT true CHECK (one),
	size       bigint NOT NULL CHECK (size > 0),
	checkpoint bytea NOT NULL CHECK (octet_length(checkpoint) > 0)
);

CREATE TABLE vasistas.evidence (
	name       text PRIMARY KEY,
	checkpoint bytea NOT NULL,
	kept       timestamptz NOT NULL DEFAULT now(),
	term       bigint NOT NULL -- that it was kept in
);

-- The vault: age recipients, age files, and who exported what.
CREATE TABLE vasistas.recipients (
	one  boolean PRIMARY KEY DEFAULT true CHECK (one),
	text bytea NOT NULL
);

CREATE TABLE vasistas.batch (
	seq  bigint PRIMARY KEY CHECK (seq > 0),
	made timestamptz NOT NULL DEFAULT now(),
	data bytea NOT NULL
);
ALTER TABLE vasistas.batch ALTER COLUMN data SET STORAGE EXTERNAL; -- ciphertext, read in parts

CREATE TABLE vasistas.audit (
	start bigint PRIMARY KEY CHECK (start >= 0), -- length of all lines before
	line  bytea NOT NULL CHECK (octet_length(line) > 0)
);

CREATE FUNCTION vasistas.keep() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'what was written to % stays as it is', TG_TABLE_NAME; END $$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON vasistas.audit
	FOR EACH STATEMENT EXECUTE FUNCTION vasistas.keep();
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON vasistas.log
	FOR EACH STATEMENT EXECUTE FUNCTION vasistas.keep();
