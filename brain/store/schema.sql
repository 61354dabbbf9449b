-- The state of one brain. Made when the file is new; `PRAGMA user_version` is STORE_VERSION of store.c.
-- Times are milliseconds since 1970, UTC. A row that says what happened is never changed afterwards, except from
-- "unfinished" to "finished". doc/ARCHITECTURE.md has the table of these tables.

-- One stored message from a forge, as it came. Never changed; after option history.keep it goes, or only its body when a row refers to it.
CREATE TABLE deliveries (
	id INTEGER PRIMARY KEY,
	dialect TEXT NOT NULL,
	account TEXT NOT NULL,
	kind TEXT NOT NULL,        -- value of the dialect's event header, "" without one; not signed
	key TEXT NOT NULL,         -- value of its delivery header, "" without one; not signed
	heard INTEGER NOT NULL,    -- its headers were there
	stored INTEGER NOT NULL,   -- its row was written; the COMMIT of that turn follows
	body BLOB NOT NULL
) STRICT;

-- Requests that were not taken, counted: unverified bytes are never kept.
CREATE TABLE refusals (
	account TEXT NOT NULL,     -- "" when the path named none that is configured
	status INTEGER NOT NULL,   -- of the HTTP answer
	reason TEXT NOT NULL,      -- of the last one
	count INTEGER NOT NULL,
	last INTEGER NOT NULL,
	PRIMARY KEY (account, status)
) STRICT, WITHOUT ROWID;

-- A proposal as last read back from its forge.
CREATE TABLE proposals (
	id INTEGER PRIMARY KEY,
	project TEXT NOT NULL,
	name TEXT NOT NULL,
	url TEXT NOT NULL,
	target TEXT NOT NULL,
	target_tip TEXT NOT NULL,
	head TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open', 'merged', 'closed')),
	dialect TEXT NOT NULL,     -- whose .proposal() reads `reply`
	reply TEXT NOT NULL,       -- what reading it back gave, raw
	read INTEGER NOT NULL,     -- the reply came
	delivery INTEGER REFERENCES deliveries, -- that made us read it; NULL: the reconciler, or our own wish
	version TEXT NOT NULL,     -- of the forge, as the reconciler saw it; "" not yet
	UNIQUE (project, name)
) STRICT;
CREATE INDEX proposals_delivery ON proposals (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX proposals_open ON proposals (project, name) WHERE state = 'open';

-- Where a target is, as far as we know. A build made on another tip is not worth starting.
CREATE TABLE targets (
	project TEXT NOT NULL,
	target TEXT NOT NULL,
	tip TEXT NOT NULL,         -- "": it moved, we do not know where to
	seen INTEGER NOT NULL,     -- not earlier than this it was there
	PRIMARY KEY (project, target)
) STRICT, WITHOUT ROWID;

-- One approved proposal in a target's queue.
CREATE TABLE items (
	id INTEGER PRIMARY KEY,
	proposal INTEGER NOT NULL REFERENCES proposals,
	project TEXT NOT NULL,
	target TEXT NOT NULL,
	source TEXT NOT NULL,      -- the approved commit
	approved INTEGER NOT NULL, -- seconds since 1970: the newest approval that counted
	state TEXT NOT NULL CHECK (state IN ('queued', 'rereading', 'building', 'landing', 'held', 'landed', 'rejected', 'removed')),
	since INTEGER NOT NULL,    -- in that state
	read INTEGER NOT NULL,     -- the proposal was read back, which made it an item
	queued INTEGER NOT NULL,
	ended INTEGER,
	due INTEGER NOT NULL,      -- 0: in its turn; else not to be started before, and set to 0 when that time has come
	builds INTEGER NOT NULL,   -- attempts so far
	troubles INTEGER NOT NULL, -- of infrastructure, in a row
	delivery INTEGER REFERENCES deliveries,
	why TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX items_live ON items (proposal) WHERE state IN ('queued', 'rereading', 'building', 'landing', 'held');
CREATE UNIQUE INDEX items_active ON items (project, target) WHERE state IN ('rereading', 'building', 'landing');
CREATE INDEX items_queue ON items (project, target, due, id) WHERE state = 'queued';
CREATE INDEX items_order ON items (project, target, id) WHERE state IN ('queued', 'rereading', 'building', 'landing', 'held');
CREATE INDEX items_delivery ON items (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX items_proposal ON items (proposal, id);

-- One test run of one item on one merge.
CREATE TABLE builds (
	id INTEGER PRIMARY KEY,
	build TEXT NOT NULL UNIQUE, -- 32 hex digits, the name in pages and on the slave
	item INTEGER NOT NULL REFERENCES items,
	attempt INTEGER NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('asked', 'running', 'done')),
	spec TEXT NOT NULL,        -- "" when none could be made
	asked INTEGER NOT NULL,
	started INTEGER,           -- the slave took it
	ended INTEGER,
	outcome TEXT,
	reason TEXT,
	merged TEXT,               -- id of the merge, when it got that far
	result TEXT                -- the signed line; NULL: none that holds
) STRICT;
CREATE INDEX builds_item ON builds (item, id);

-- One wish to put a tested commit on its target.
CREATE TABLE landings (
	id INTEGER PRIMARY KEY,
	build INTEGER NOT NULL REFERENCES builds,
	item INTEGER NOT NULL REFERENCES items,
	state TEXT NOT NULL CHECK (state IN ('asked', 'done')),
	asked INTEGER NOT NULL,
	ended INTEGER,
	outcome TEXT,
	reason TEXT,
	merged TEXT,               -- id of the merge
	target_tip TEXT,           -- afterwards
	answer TEXT                -- of the land daemon, raw
) STRICT;
CREATE INDEX landings_item ON landings (item, id);

-- One message owed to the outside.
CREATE TABLE reports (
	id INTEGER PRIMARY KEY,
	item INTEGER NOT NULL REFERENCES items,
	kind TEXT NOT NULL,
	body TEXT NOT NULL,
	merged TEXT,               -- id of the merge it is about
	marker TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('owed', 'sent', 'failed')),
	made INTEGER NOT NULL,
	ended INTEGER,
	reason TEXT
) STRICT;
CREATE INDEX reports_item ON reports (item, id);

-- One act towards the outside. The outcome of an unfinished one is NULL, or, when nobody wants it any more, "cancelled".
CREATE TABLE calls (
	id INTEGER PRIMARY KEY,
	kind TEXT NOT NULL,
	lane TEXT NOT NULL,        -- calls of one lane are done one after the other
	key TEXT NOT NULL,         -- the same act has the same key, here and outside
	request TEXT NOT NULL,
	stage INTEGER NOT NULL,    -- whose inbox gets the answer: enum stage of calls/brain.h
	state TEXT NOT NULL CHECK (state IN ('intent', 'doing', 'answered')),
	attempts INTEGER NOT NULL,
	due INTEGER NOT NULL,
	made INTEGER NOT NULL,
	started INTEGER,           -- the last time
	ended INTEGER,
	outcome TEXT,
	answer TEXT,               -- raw, "" when it is a row elsewhere by now; of an unfinished one: why the last attempt failed
	UNIQUE (kind, key)
) STRICT;
CREATE INDEX calls_waiting ON calls (kind, lane, due, id) WHERE state = 'intent';
CREATE INDEX calls_due ON calls (due) WHERE state = 'intent';
CREATE INDEX calls_trouble ON calls (id) WHERE state = 'intent' AND attempts > 0;
CREATE INDEX calls_doing ON calls (lane) WHERE state = 'doing';

-- The first intent of each lane, so that the next call is found without a walk over those that wait behind it. Kept by triggers.
CREATE TABLE lanes (
	kind TEXT NOT NULL,
	lane TEXT NOT NULL,
	due INTEGER NOT NULL,
	call INTEGER NOT NULL,
	PRIMARY KEY (kind, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_due ON lanes (kind, due, call);
CREATE TRIGGER calls_added AFTER INSERT ON calls BEGIN
	DELETE FROM lanes WHERE kind = NEW.kind AND lane = NEW.lane;
	INSERT INTO lanes SELECT kind, lane, due, id FROM calls WHERE kind = NEW.kind AND lane = NEW.lane AND state = 'intent'
		ORDER BY due, id LIMIT 1;
END;
CREATE TRIGGER calls_changed AFTER UPDATE OF state, due ON calls BEGIN
	DELETE FROM lanes WHERE kind = NEW.kind AND lane = NEW.lane;
	INSERT INTO lanes SELECT kind, lane, due, id FROM calls WHERE kind = NEW.kind AND lane = NEW.lane AND state = 'intent'
		ORDER BY due, id LIMIT 1;
END;
CREATE TRIGGER calls_deleted AFTER DELETE ON calls BEGIN
	DELETE FROM lanes WHERE kind = OLD.kind AND lane = OLD.lane;
	INSERT INTO lanes SELECT kind, lane, due, id FROM calls WHERE kind = OLD.kind AND lane = OLD.lane AND state = 'intent'
		ORDER BY due, id LIMIT 1;
END;

-- One recorded reason.
CREATE TABLE decisions (
	id INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	stage TEXT NOT NULL,
	delivery INTEGER REFERENCES deliveries,
	proposal INTEGER REFERENCES proposals,
	text TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_proposal ON decisions (proposal, id) WHERE proposal IS NOT NULL;
CREATE INDEX decisions_delivery ON decisions (delivery, id) WHERE delivery IS NOT NULL;

-- What each stage still has to look at; a row is gone when its step is done.
CREATE TABLE proposal_inbox (
	id INTEGER PRIMARY KEY, kind TEXT NOT NULL, ref INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE gate_inbox (
	id INTEGER PRIMARY KEY, kind TEXT NOT NULL, ref INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE build_inbox (
	id INTEGER PRIMARY KEY, kind TEXT NOT NULL, ref INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE landing_inbox (
	id INTEGER PRIMARY KEY, kind TEXT NOT NULL, ref INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE report_inbox (
	id INTEGER PRIMARY KEY, kind TEXT NOT NULL, ref INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX proposal_inbox_due ON proposal_inbox (due, id);
CREATE INDEX gate_inbox_due ON gate_inbox (due, id);
CREATE INDEX build_inbox_due ON build_inbox (due, id);
CREATE INDEX landing_inbox_due ON landing_inbox (due, id);
CREATE INDEX report_inbox_due ON report_inbox (due, id);
