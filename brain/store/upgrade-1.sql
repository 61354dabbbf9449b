-- From version 1 to 2. What it makes is what schema.sql makes: the unit test compares them.
DROP INDEX calls_ready;
DROP INDEX calls_waiting;
CREATE INDEX calls_waiting ON calls (kind, lane, due, id) WHERE state = 'intent';
DROP INDEX items_queue;
CREATE INDEX items_queue ON items (project, target, due, id) WHERE state = 'queued';
CREATE INDEX items_order ON items (project, target, id) WHERE state IN ('queued', 'rereading', 'building', 'landing', 'held');
CREATE INDEX calls_trouble ON calls (id) WHERE state = 'intent' AND attempts > 0;
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
INSERT INTO lanes SELECT kind, lane, due, id FROM calls c WHERE state = 'intent' AND id = (SELECT id FROM calls d
	WHERE d.kind = c.kind AND d.lane = c.lane AND d.state = 'intent' ORDER BY due, id LIMIT 1);
