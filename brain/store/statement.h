/*
 * Every SQL statement of the brain: S(NAME, "text"), values are ?1, ?2, … in the order of the call. All are prepared when the
 * store is opened, so that one that does not fit schema.sql stops the start, and the unit test names it.
 */
#ifndef BYOCI_STORE_STATEMENT_H
#define BYOCI_STORE_STATEMENT_H

/* The five inboxes have the same shape. Order matters: brain.c counts from STORE_PROPOSAL_INBOX_ADD. */
#define STATEMENT_INBOX(S, NAME, table) \
	S(NAME##_INBOX_ADD, "INSERT INTO " table " (kind, ref, due, attempts) VALUES (?1, ?2, ?3, 0)") \
	S(NAME##_INBOX_NEXT, "SELECT id, kind, ref, attempts FROM " table " WHERE due <= ?1 ORDER BY due, id LIMIT 1") \
	S(NAME##_INBOX_DELETE, "DELETE FROM " table " WHERE id = ?1") \
	S(NAME##_INBOX_LATER, "UPDATE " table " SET due = ?2, attempts = attempts + 1 WHERE id = ?1") \
	S(NAME##_INBOX_DUE, "SELECT min(due) FROM " table) \
	S(NAME##_INBOX_SOONER, "UPDATE " table " SET due = min(due - ?2, ?3) WHERE due > ?1")

#define STORE_STATEMENTS_TURN(S) \
	S(BEGIN, "BEGIN IMMEDIATE") \
	S(COMMIT, "COMMIT") \
	S(ROLLBACK, "ROLLBACK") \
	S(SAVEPOINT, "SAVEPOINT step") \
	S(SAVEPOINT_BACK, "ROLLBACK TO step") \
	S(SAVEPOINT_END, "RELEASE step") \
	STATEMENT_INBOX(S, PROPOSAL, "proposal_inbox") \
	STATEMENT_INBOX(S, GATE, "gate_inbox") \
	STATEMENT_INBOX(S, BUILD, "build_inbox") \
	STATEMENT_INBOX(S, LANDING, "landing_inbox") \
	STATEMENT_INBOX(S, REPORT, "report_inbox")

#define STORE_STATEMENTS_INTAKE(S) \
	S(DELIVERY_ADD, "INSERT INTO deliveries (dialect, account, kind, key, heard, stored, body) VALUES (?1, ?2, ?3, ?4," \
		" ?5, ?6, ?7)") \
	S(DELIVERY_GET, "SELECT dialect, account, kind, key, heard, stored, body FROM deliveries WHERE id = ?1") \
	S(DELIVERY_TIMES, "SELECT heard, stored FROM deliveries WHERE id = ?1") \
	S(DELIVERY_LAST, "SELECT coalesce(max(id), 0) FROM deliveries") \
	S(REFUSAL_COUNT, "INSERT INTO refusals (account, status, reason, count, last) VALUES (?1, ?2, ?3, ?4, ?5)" \
		" ON CONFLICT (account, status) DO UPDATE SET reason = ?3, count = count + ?4, last = ?5") \
	S(REFUSALS, "SELECT account, status, reason, count, last FROM refusals ORDER BY account, status") \
	S(DECISION_ADD, "INSERT INTO decisions (time, stage, delivery, proposal, text)" \
		" VALUES (?1, ?2, (SELECT id FROM deliveries WHERE id = ?3), ?4, ?5)") \
	S(DECISION_LAST, "SELECT text FROM decisions WHERE proposal = ?1 AND stage = ?2 ORDER BY id DESC LIMIT 1") \
	S(DECISIONS_PROPOSAL, "SELECT id, time, stage, delivery, text FROM (SELECT * FROM decisions WHERE proposal = ?1" \
		" ORDER BY id DESC LIMIT ?2) ORDER BY id") \
	S(DECISIONS_DELIVERY, "SELECT id, time, stage, delivery, text FROM decisions WHERE delivery = ?1 ORDER BY id LIMIT 1000")

#define STORE_STATEMENTS_CALL(S) \
	S(CALL_ADD, "INSERT INTO calls (kind, lane, key, request, stage, state, attempts, due, made)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, 'intent', 0, ?6, ?7) ON CONFLICT (kind, key) DO NOTHING") \
	S(CALL_FIND, "SELECT id, stage, attempts FROM calls WHERE kind = ?1 AND key = ?2") \
	S(CALL_WAITING, "SELECT id FROM calls WHERE kind = ?1 AND lane = ?2 AND state = 'intent' LIMIT 1") \
	S(CALL_NEXT, "SELECT c.id, c.lane, c.key, c.request, c.stage, c.attempts, c.outcome FROM lanes l JOIN calls c ON c.id = l.call" \
		" WHERE l.kind = ?1 AND l.due <= ?2 AND NOT EXISTS (SELECT 1 FROM calls d WHERE d.lane = l.lane AND d.state = 'doing')" \
		" ORDER BY l.due, l.call LIMIT 1") \
	S(CALL_DOING, "UPDATE calls SET state = 'doing', attempts = attempts + 1, started = ?2 WHERE id = ?1") \
	S(CALL_AGAIN, "UPDATE calls SET state = 'intent', due = ?2, answer = ?3 WHERE id = ?1 AND state = 'doing'") \
	S(CALL_ANSWERED, "UPDATE calls SET state = 'answered', ended = ?2, outcome = ?3, answer = ?4 WHERE id = ?1 AND state" \
		" <> 'answered'") \
	S(CALL_UNWANTED, "UPDATE calls SET outcome = ?2, due = min(due, ?3) WHERE id = ?1 AND state <> 'answered'") \
	S(CALL_FORGET, "UPDATE calls SET answer = '' WHERE id = ?1 AND state = 'answered'") \
	S(CALL_DELETE, "DELETE FROM calls WHERE id = ?1") \
	S(CALL_GET, "SELECT kind, lane, key, request, state, attempts, due, made, started, ended, outcome, answer FROM calls" \
		" WHERE id = ?1") \
	S(CALLS_DOING, "SELECT id FROM calls INDEXED BY calls_doing WHERE state = 'doing' ORDER BY id") \
	S(CALL_READING, "SELECT answer FROM calls WHERE kind = 'forge-read' AND state = 'intent' AND" \
		" substr(lane, -length(?1) - 1) = '/' || ?1 LIMIT 1") \
	S(CALLS_SOONER, "UPDATE calls SET due = min(due - ?2, ?3) WHERE state = 'intent' AND due > ?1") \
	S(CALLS_DUE, "SELECT min(due) FROM calls WHERE state = 'intent' AND due > ?1") \
	S(CALLS_TROUBLE, "SELECT kind, lane, attempts, due, answer FROM calls WHERE state = 'intent' AND attempts > 0 ORDER BY id LIMIT 100")

#define STORE_STATEMENTS_PROPOSAL(S) \
	S(PROPOSAL_PUT, "INSERT INTO proposals (project, name, url, target, target_tip, head, state, dialect, reply, read," \
		" delivery, version)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, (SELECT id FROM deliveries WHERE id = ?11), ?12)" \
		" ON CONFLICT (project, name) DO UPDATE SET url = ?3, target = ?4, target_tip = ?5, head = ?6, state = ?7, dialect = ?8," \
		" reply = ?9, read = ?10, delivery = excluded.delivery, version = ?12") \
	S(PROPOSAL_GET, "SELECT project, name, url, target, target_tip, head, state, dialect, reply, read, delivery, version" \
		" FROM proposals WHERE id = ?1") \
	S(PROPOSAL_FIND, "SELECT id, version FROM proposals WHERE project = ?1 AND name = ?2") \
	S(PROPOSAL_NAMED, "SELECT id, project FROM proposals WHERE name = ?1 ORDER BY project LIMIT 2") \
	S(PROPOSALS_OPEN, "SELECT name FROM proposals WHERE project = ?1 AND state = 'open' ORDER BY name") \
	S(TARGET_PUT, "INSERT INTO targets (project, target, tip, seen) VALUES (?1, ?2, ?3, ?4)" \
		" ON CONFLICT (project, target) DO UPDATE SET tip = ?3, seen = ?4 WHERE seen <= ?4") \
	S(TARGETS_SOONER, "UPDATE targets SET seen = ?1 WHERE seen > ?1") \
	S(TARGETS_FORGET, "UPDATE targets SET tip = ''") \
	S(TARGET_GET, "SELECT tip, seen FROM targets WHERE project = ?1 AND target = ?2")

#define STATEMENT_ITEM "id, proposal, project, target, source, approved, state, since, read, queued, ended, due, builds, troubles, delivery, why"
#define STATEMENT_ITEM_LIVE "state IN ('queued', 'rereading', 'building', 'landing', 'held')"
#define STORE_STATEMENTS_GATE(S) \
	S(ITEM_ADD, "INSERT INTO items (proposal, project, target, source, approved, state, since, read, queued, due," \
		" builds, troubles, delivery, why)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7, ?6, 0, 0, 0, (SELECT id FROM deliveries WHERE id = ?8), ?9)") \
	S(ITEM_GET, "SELECT " STATEMENT_ITEM " FROM items WHERE id = ?1") \
	S(ITEM_LIVE, "SELECT " STATEMENT_ITEM " FROM items WHERE proposal = ?1 AND " STATEMENT_ITEM_LIVE) \
	S(ITEM_LAST, "SELECT " STATEMENT_ITEM " FROM items WHERE proposal = ?1 ORDER BY id DESC LIMIT 1") \
	S(ITEM_ACTIVE, "SELECT id FROM items WHERE project = ?1 AND target = ?2 AND state IN ('rereading', 'building', 'landing')") \
	S(ITEMS_SOONER, "UPDATE items SET due = min(due - ?2, ?3) WHERE state = 'queued' AND due > ?1") \
	S(ITEM_RIPE, "UPDATE items SET due = 0 WHERE project = ?1 AND target = ?2 AND state = 'queued' AND due > 0 AND due <= ?3") \
	S(ITEM_NEXT, "SELECT " STATEMENT_ITEM " FROM items WHERE project = ?1 AND target = ?2 AND state = 'queued' AND due = 0" \
		" ORDER BY id LIMIT 1") \
	S(ITEM_STATE, "UPDATE items SET state = ?2, since = ?3, why = ?4 WHERE id = ?1") \
	S(ITEM_END, "UPDATE items SET state = ?2, since = ?3, ended = ?3, why = ?4 WHERE id = ?1") \
	S(ITEM_BACK, "UPDATE items SET state = 'queued', since = ?2, due = ?3, troubles = troubles + 1, why = ?4 WHERE id = ?1") \
	S(ITEM_TROUBLE, "UPDATE items SET troubles = troubles + 1, why = ?2 WHERE id = ?1") \
	S(ITEM_BUILD, "UPDATE items SET state = 'building', since = ?2, builds = builds + 1, why = ?3 WHERE id = ?1") \
	S(ITEM_RELEASE, "UPDATE items SET state = 'queued', since = ?2, due = 0, troubles = 0, approved = ?3, why = ?4" \
		" WHERE id = ?1") \
	S(ITEMS_QUEUE, "SELECT i.id, i.project, i.target, p.name, i.state, i.since, i.source, substr(i.why, 1, 200) FROM items i" \
		" JOIN proposals p ON p.id = i.proposal WHERE i." STATEMENT_ITEM_LIVE " ORDER BY i.project, i.target, i.id LIMIT ?1") \
	S(ITEMS_COUNT, "SELECT state, count(*) FROM items WHERE " STATEMENT_ITEM_LIVE " GROUP BY state") \

#define STATEMENT_BUILD "id, build, item, attempt, state, spec, asked, started, ended, outcome, reason, merged, result"
#define STORE_STATEMENTS_BUILD(S) \
	S(BUILD_ADD, "INSERT INTO builds (build, item, attempt, state, spec, asked) VALUES (?1, ?2, ?3, 'asked', '', ?4)") \
	S(BUILD_ENDED, "SELECT item, build, outcome, reason, merged, '', ended, id, result, NULL FROM builds" \
		" WHERE id = ?1 AND state = 'done'") \
	S(BUILD_GET, "SELECT " STATEMENT_BUILD " FROM builds WHERE id = ?1") \
	S(BUILD_FIND, "SELECT " STATEMENT_BUILD " FROM builds WHERE build = ?1") \
	S(BUILD_SPEC, "UPDATE builds SET spec = ?2 WHERE id = ?1") \
	S(BUILD_RUNNING, "UPDATE builds SET state = 'running', started = coalesce(started, ?2) WHERE id = ?1 AND state <> 'done'") \
	S(BUILD_DONE, "UPDATE builds SET state = 'done', ended = ?2, outcome = ?3, reason = ?4, merged = ?5, result = ?6" \
		" WHERE id = ?1 AND state <> 'done'") \
	S(BUILD_OF_ITEM, "SELECT " STATEMENT_BUILD " FROM builds WHERE item = ?1 ORDER BY id DESC LIMIT 1") \
	S(BUILDS_OF_ITEM, "SELECT " STATEMENT_BUILD " FROM builds WHERE item = ?1 ORDER BY id") \
	S(BUILDS_RECENT, "SELECT b.build, b.state, b.outcome, b.asked, b.ended, i.project, i.target, p.name FROM builds b" \
		" JOIN items i ON i.id = b.item JOIN proposals p ON p.id = i.proposal ORDER BY b.id DESC LIMIT ?1")

#define STATEMENT_LANDING "id, build, item, state, asked, ended, outcome, reason, merged, target_tip, answer"
#define STORE_STATEMENTS_LANDING(S) \
	S(LANDING_ADD, "INSERT INTO landings (build, item, state, asked) VALUES (?1, ?2, 'asked', ?3)") \
	S(LANDING_ENDED, "SELECT l.item, b.build, l.outcome, l.reason, l.merged, l.target_tip, l.ended, l.build, b.result, l.answer" \
		" FROM landings l" \
		" JOIN builds b ON b.id = l.build WHERE l.id = ?1 AND l.state = 'done'") \
	S(LANDING_GET, "SELECT " STATEMENT_LANDING " FROM landings WHERE id = ?1") \
	S(LANDING_DONE, "UPDATE landings SET state = 'done', ended = ?2, outcome = ?3, reason = ?4, merged = ?5, target_tip = ?6," \
		" answer = ?7 WHERE id = ?1 AND state <> 'done'") \
	S(LANDING_OF_ITEM, "SELECT " STATEMENT_LANDING " FROM landings WHERE item = ?1 ORDER BY id DESC LIMIT 1") \
	S(REPORT_ADD, "INSERT INTO reports (item, kind, body, merged, marker, state, made) VALUES (?1, ?2, ?3, ?4, ?5, 'owed', ?6)") \
	S(REPORT_GET, "SELECT id, item, kind, body, merged, marker, state, made, ended, reason FROM reports WHERE id = ?1") \
	S(REPORT_DONE, "UPDATE reports SET state = ?2, ended = ?3, reason = ?4 WHERE id = ?1 AND state = 'owed'") \
	S(REPORT_OF_ITEM, "SELECT id, item, kind, body, merged, marker, state, made, ended, reason FROM reports WHERE item = ?1" \
		" ORDER BY id DESC LIMIT 1")

/*
 * What is past: each looks at some rows in the order of their ids, and says: id, time, what stays of it (enum stays of calls/history.c),
 * bytes. A message without a decision about it is still to be read.
 */
#define STORE_STATEMENTS_HISTORY(S) \
	S(HISTORY_DELIVERIES, "SELECT d.id, d.stored, CASE WHEN NOT EXISTS (SELECT 1 FROM decisions WHERE delivery = d.id) THEN 2" \
		" WHEN d.id = (SELECT max(id) FROM deliveries) OR EXISTS (SELECT 1 FROM items WHERE delivery = d.id)" \
		" OR EXISTS (SELECT 1 FROM proposals WHERE delivery = d.id) OR EXISTS (SELECT 1 FROM decisions e JOIN proposals p" \
		" ON p.id = e.proposal WHERE e.delivery = d.id AND p.state = 'open') THEN 1 ELSE 0 END, length(d.body)" \
		" FROM deliveries d WHERE d.id > ?1 ORDER BY d.id LIMIT ?2") \
	S(DELIVERY_EMPTY, "UPDATE deliveries SET body = x'' WHERE id = ?1") \
	S(DECISIONS_DELETE, "DELETE FROM decisions WHERE delivery = ?1") \
	S(DELIVERY_DELETE, "DELETE FROM deliveries WHERE id = ?1") \
	S(HISTORY_DECISIONS, "SELECT d.id, d.time, d.delivery IS NOT NULL OR p.state IS 'open', 0 FROM decisions d" \
		" LEFT JOIN proposals p ON p.id = d.proposal WHERE d.id > ?1 ORDER BY d.id LIMIT ?2") \
	S(DECISION_DELETE, "DELETE FROM decisions WHERE id = ?1") \
	S(HISTORY_CALLS, "SELECT id, coalesce(ended, made), state <> 'answered', 0 FROM calls WHERE id > ?1 ORDER BY id LIMIT ?2")

#define STORE_STATEMENTS(S) \
	STORE_STATEMENTS_TURN(S) \
	STORE_STATEMENTS_INTAKE(S) \
	STORE_STATEMENTS_CALL(S) \
	STORE_STATEMENTS_PROPOSAL(S) \
	STORE_STATEMENTS_GATE(S) \
	STORE_STATEMENTS_BUILD(S) \
	STORE_STATEMENTS_LANDING(S) \
	STORE_STATEMENTS_HISTORY(S)

#endif
