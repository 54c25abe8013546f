-- Times are POSIX seconds. Indexes (idx) are those of entries. A view of size S has the entries
-- below S, and of the other tables what these entries did: every row names the entry that made
-- it, and the one that ended it (9223372036854775807: none has).

CREATE TABLE log (origin TEXT NOT NULL) STRICT;

-- symbol numbers texts: (type, member, value) of names, and others that repeat.
-- kept: 1 of entries without a verdict, 0 of others.
CREATE TABLE symbol (
  id INTEGER PRIMARY KEY, type TEXT NOT NULL, member TEXT NOT NULL, value TEXT NOT NULL,
  kept INTEGER NOT NULL, UNIQUE (member, value, type, kept)) STRICT;

-- names has varints of symbol ids. logged: the entry was logged after this.
CREATE TABLE entry (
  idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL, type TEXT NOT NULL,
  claimed INTEGER NOT NULL, logged INTEGER NOT NULL, verdict INTEGER NOT NULL, names BLOB NOT NULL) STRICT;

-- name says which entries have a symbol, and how often.
CREATE TABLE name (
  symbol INTEGER NOT NULL, idx INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (symbol, idx)) STRICT, WITHOUT ROWID;

-- month has the months of entry.logged, from their first entry on; tally the sums of name.
CREATE TABLE month (id INTEGER PRIMARY KEY, name TEXT NOT NULL, first INTEGER NOT NULL) STRICT;
CREATE TABLE tally (
  month INTEGER NOT NULL, symbol INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (month, symbol)) STRICT, WITHOUT ROWID;

-- anchor: the entries below size existed before existed, and those from idx on were logged after proven.
CREATE TABLE anchor (
  idx INTEGER PRIMARY KEY, size INTEGER NOT NULL, existed INTEGER NOT NULL, proven INTEGER NOT NULL) STRICT;
CREATE INDEX anchor_size ON anchor (size);
CREATE INDEX anchor_proven ON anchor (proven);

CREATE TABLE charter (idx INTEGER PRIMARY KEY, bars TEXT NOT NULL) STRICT;

CREATE TABLE reference (
  idx INTEGER NOT NULL, ref INTEGER NOT NULL, kind TEXT NOT NULL,
  PRIMARY KEY (idx, ref)) STRICT, WITHOUT ROWID;
CREATE INDEX reference_ref ON reference (ref, idx);

-- warrant is a warrant or an emergency access whose agency the disclosure entry has opened.
CREATE TABLE warrant (idx INTEGER PRIMARY KEY, entry INTEGER NOT NULL, agency INTEGER NOT NULL) STRICT;

CREATE TABLE kind (id INTEGER PRIMARY KEY, rule TEXT NOT NULL, way TEXT NOT NULL, cure TEXT NOT NULL) STRICT;

-- duty: one row for each due date that an obligation has had.
-- how: 0 owed, 1 settled, 2 lapsed, 3 it has another due date.
CREATE TABLE duty (
  id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, idx INTEGER NOT NULL, debtor INTEGER NOT NULL,
  custodian INTEGER NOT NULL, text INTEGER NOT NULL, due INTEGER NOT NULL, late INTEGER NOT NULL,
  opened INTEGER NOT NULL, since INTEGER NOT NULL, ended INTEGER NOT NULL, how INTEGER NOT NULL,
  proven INTEGER) STRICT;
CREATE INDEX duty_idx ON duty (idx);
CREATE INDEX duty_ended ON duty (ended, late, how, kind, debtor, since);
CREATE INDEX duty_late ON duty (ended) WHERE proven IS NOT NULL;
CREATE INDEX duty_lapsed ON duty (ended) WHERE how = 2;

CREATE TABLE violation (
  id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, seen INTEGER NOT NULL, kind TEXT NOT NULL,
  rule TEXT NOT NULL, way TEXT NOT NULL, debtor TEXT NOT NULL, text TEXT NOT NULL, cure TEXT NOT NULL) STRICT;
CREATE INDEX violation_idx ON violation (idx);

-- breach: one row for each state that a breach on record has had.
CREATE TABLE breach (
  id INTEGER NOT NULL, since INTEGER NOT NULL, ended INTEGER NOT NULL, rule TEXT NOT NULL,
  way TEXT NOT NULL, idx INTEGER NOT NULL, seen INTEGER NOT NULL, last INTEGER NOT NULL,
  count INTEGER NOT NULL, debtor TEXT NOT NULL, text TEXT NOT NULL, cure TEXT NOT NULL,
  stands TEXT NOT NULL, closed INTEGER NOT NULL, PRIMARY KEY (id, since)) STRICT, WITHOUT ROWID;
CREATE INDEX breach_ended ON breach (ended, id);

CREATE TABLE release (
  idx INTEGER PRIMARY KEY, key INTEGER NOT NULL, seq INTEGER NOT NULL, access INTEGER NOT NULL) STRICT;
CREATE INDEX release_key ON release (key, idx);
CREATE TABLE heartbeat (
  idx INTEGER PRIMARY KEY, key INTEGER NOT NULL, seq INTEGER NOT NULL, begins INTEGER NOT NULL,
  ends INTEGER NOT NULL, resumed INTEGER NOT NULL) STRICT;
CREATE INDEX heartbeat_key ON heartbeat (key, idx);

CREATE TABLE head (
  size INTEGER PRIMARY KEY, root BLOB NOT NULL, logged INTEGER NOT NULL, existed INTEGER NOT NULL,
  unmet TEXT NOT NULL) STRICT;
CREATE TABLE cosignature (
  size INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL,
  PRIMARY KEY (size, key)) STRICT, WITHOUT ROWID;
