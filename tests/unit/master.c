#include "master/master.h"

#include <stdlib.h>

#include "base/clock.h"
#include "loop/httpd.h"
#include "loop/listen.h"
#include "master/lookup.h"
#include "tests/tap.h"
#include "tests/tmp.h"

/* What is answered to a path; the first with status 0 ends the list, and is 404. */
struct page {
	const char *path;
	unsigned status;
	const char *body;
};

/* A master that wants crumbs, which are bound to the session that they were given in. */
struct world {
	struct loop *loop;
	struct httpd *httpd;
	struct arena *arena;
	struct site site;
	struct master *master;
	int crumbs, posts, refused, open, most, held; /* what it saw */
	char session[40], authorization[100];
	struct httpd_request *holds[20];
	bool jenkins, hold;
	const struct page *pages; /* NULL: all are the same */
	unsigned fail; /* so many answers are 503 */
	int answers;
	unsigned status;
	bool sent;
	char why[300];
};

static void answer(const struct world *world, struct httpd_request *request, unsigned status, const char *type, const char *body, bool session)
{
	struct httpd_field fields[3];
	size_t count = 0;

	if (world->jenkins && strncmp(type, "application/j", 13) == 0)
		fields[count++] = (struct httpd_field){"X-Jenkins", "2.479"};
	if (session)
		fields[count++] = (struct httpd_field){"Set-Cookie", world->session};
	fields[count] = (struct httpd_field){NULL, NULL};
	httpd_answer(request, status, type, fields, body, strlen(body));
}

static void on_post(struct world *world, struct httpd_request *request)
{
	const char *crumb = httpd_header(request, "Jenkins-Crumb"), *cookie = httpd_header(request, "Cookie");
	char wanted[60];

	snprintf(wanted, sizeof wanted, "JSESSIONID=s%d", world->crumbs);
	if (crumb && strcmp(crumb, "c") == 0 && cookie && strcmp(cookie, wanted) == 0) {
		world->posts++;
		answer(world, request, 201, "text/plain", "", false);
	} else {
		world->refused++;
		answer(world, request, 403, "text/html", "No valid crumb", false);
	}
}

static void on_get(const struct world *world, struct httpd_request *request, const char *path)
{
	const struct page *page = world->pages;

	while (page && page->status && strcmp(page->path, path) != 0)
		page++;
	if (!page)
		answer(world, request, 200, "application/json", "{\"a\":1}", false);
	else
		answer(world, request, page->status ? page->status : 404, "application/json", page->status ? page->body : "", false);
}

static void on_end(void *cookie, struct httpd_request *request)
{
	struct world *world = cookie;
	const char *path = httpd_path(request), *authorization = httpd_header(request, "Authorization");

	snprintf(world->authorization, sizeof world->authorization, "%.99s", authorization ? authorization : "");
	world->open++;
	if (world->open > world->most)
		world->most = world->open;
	if (world->hold && world->held < 20) {
		world->holds[world->held++] = request;
	} else if (world->fail) {
		world->fail--;
		answer(world, request, 503, "text/html", "<html>", false);
	} else if (strcmp(path, "/ci/crumbIssuer/api/json") == 0) {
		snprintf(world->session, sizeof world->session, "JSESSIONID=s%d;Path=/", ++world->crumbs);
		answer(world, request, 200, "application/json", "{\"crumb\":\"c\",\"crumbRequestField\":\"Jenkins-Crumb\"}", true);
	} else if (strcmp(httpd_method(request), "POST") == 0) {
		on_post(world, request);
	} else {
		on_get(world, request, path + strlen("/ci/"));
	}
}

static void on_gone(void *cookie, struct httpd_request *request)
{
	struct world *world = cookie;

	(void)request;
	world->open--;
}

static void on_reply(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct world *world = cookie;

	world->status = reply ? reply->status : 0;
	world->sent = sent;
	snprintf(world->why, sizeof world->why, "%.299s", err->text);
	if (--world->answers == 0)
		loop_stop(world->loop);
}

static void ask(struct world *world, const char *path, const char *form)
{
	struct err err = {.kind = ERR_NONE};

	world->answers++;
	master_ask(world->master, &(struct master_request){.path = path, .form = form}, on_reply, world);
	if (world->answers == 1 && !world->hold)
		ok(loop_run(world->loop, &err) == 0, "it is answered");
}

static void renew(struct world *world)
{
	struct err err = {.kind = ERR_NONE};

	master_free(world->master);
	world->master = master_new(&world->site, world->loop, &err);
	world->crumbs = world->posts = world->refused = 0;
}

static void test_crumbs(struct world *world)
{
	renew(world);
	ask(world, "job/x/build", "");
	ok(world->status == 201 && world->posts == 1, "a POST gets a crumb and is done");
	ok(world->refused == 1 && world->crumbs == 1, "after one that was refused");
	ask(world, "job/x/build", "a=b");
	ok(world->posts == 2 && world->crumbs == 1, "which is good for the next one");
	world->crumbs++; /* the session is over */
	ask(world, "job/x/build", "a=b");
	ok(world->posts == 3 && world->crumbs == 3, "a stale one is replaced");
	is(world->authorization, "Authorization: Basic YW5uOnNlY3JldA==" + strlen("Authorization: "), "as who we are");
}

static void test_dialects(struct world *world)
{
	renew(world);
	world->jenkins = true;
	ask(world, "job/x/build", "");
	ok(master_dialect(world->master) == MASTER_JENKINS, "JSON with X-Jenkins is Jenkins'");
	is(master_version(world->master), "2.479", "of that version");
	renew(world);
	world->jenkins = false;
	ok(master_dialect(world->master) == MASTER_UNKNOWN, "nobody knows at first");
	ask(world, "api/json", NULL);
	ok(master_dialect(world->master) == MASTER_HUDSON, "JSON without it is Hudson's");
}

static void on_look(void *cookie)
{
	struct world *world = cookie;

	world->hold = false;
	for (int i = 0; i < world->held; i++)
		answer(world, world->holds[i], 200, "application/json", "{}", false);
	ok(world->held == (int)world->site.at_once, "no more requests are under way than at.once says");
	world->held = 0;
}

static void test_bounds(struct world *world)
{
	struct err err = {.kind = ERR_NONE};

	renew(world);
	world->hold = true;
	world->most = 0;
	for (int i = 0; i < 12; i++)
		ask(world, "api/json", NULL);
	ok(master_busy(world->master) == 12, "all are counted");
	loop_after(world->loop, 200, on_look, world);
	ok(loop_run(world->loop, &err) == 0, "they are answered");
	ok(master_busy(world->master) == 0 && world->status == 200, "all of them");
}

static void test_back_off(struct world *world)
{
	int64_t start = clock_boot_ms();

	renew(world);
	world->fail = 2;
	ask(world, "api/json", NULL);
	ok(world->status == 503, "a reply is a reply");
	ask(world, "api/json", NULL);
	ask(world, "api/json", NULL);
	ok(world->status == 200 && clock_boot_ms() - start >= 750, "but who can't answer is left alone, longer each time");
}

static void test_nobody(struct world *world)
{
	struct site site = world->site;
	struct err err = {.kind = ERR_NONE};
	int closed = listen_tcp("127.0.0.1:0", "x", &err);

	site.url = arena_printf(world->arena, "http://127.0.0.1:%u/", listen_port(closed));
	close(closed);
	master_free(world->master);
	world->master = master_new(&site, world->loop, &err);
	ask(world, "job/x/build", "");
	ok(world->status == 0 && !world->sent, "what reaches nobody was certainly not sent");
}

static void test_secret(struct world *world)
{
	struct http_reply reply;
	struct err err = {.kind = ERR_NONE};

	chmod(world->site.secret, 0640);
	renew(world);
	ask(world, "api/json", NULL);
	ok(world->status == 0 && !world->sent && strstr(world->why, "chmod"), "a secret that others may read is refused, with what mends it");
	ok(master_once(world->master, &(struct master_request){.path = "api/json"}, world->arena, &reply, &err) < 0, "for people, too");
	chmod(world->site.secret, 0600);
	ask(world, "api/json", NULL);
	ok(world->status == 200, "mended, it is used at once");
	tmp_text("secret", "another\n", 0600);
	renew(world);
	ask(world, "api/json", NULL);
	is(world->authorization, "Basic YW5uOmFub3RoZXI=", "a new one as well");
}

/* --- where builds are: a queue and builds as they are set */

static void on_found(void *cookie, const struct sighting_found *found, const struct err *err)
{
	struct world *world = cookie;

	(void)err;
	world->status = found ? 1000 + (unsigned)found->where : 0;
	snprintf(world->why, sizeof world->why, "%.299s", err ? err->text : "");
	loop_stop(world->loop);
}

static void test_lookup(struct world *world)
{
	struct err err = {.kind = ERR_NONE};
	struct lookup *lookup;

	renew(world);
	lookup = lookup_new(world->master, world->loop);
	lookup_ask(lookup, "job/x", "n1", 0, on_found, world);
	ok(loop_run(world->loop, &err) == 0, "somebody asks where a build is");
	ok(world->status == 0 && strstr(world->why, "items: missing"), "a queue that is none is no answer");
	lookup_cancel(lookup_ask(lookup, "job/x", "n1", 0, on_found, world));
	lookup_free(lookup);
	ok(true, "and nobody has to wait for one");
}

#define NONCE(nonce) "\"actions\":[{\"parameters\":[{\"name\":\"BRAIN_BUILD\",\"value\":\"" nonce "\"}]}]"
#define EMPTY_QUEUE {"queue/api/json", 200, "{\"items\":[]}"}

/* In words, where a build is that is looked for; what the master has by then are these pages. */
static const char *looks(struct world *world, struct lookup *lookup, const char *nonce, const struct page *pages)
{
	static const char *const words[] = {"nowhere", "queued", "started", "cancelled"};
	struct err err = {.kind = ERR_NONE};

	world->pages = pages;
	lookup_ask(lookup, "job/x", nonce, 0, on_found, world);
	if (loop_run(world->loop, &err) < 0)
		return "the loop failed";
	world->pages = NULL;
	return world->status ? words[world->status - 1000] : world->why;
}

/* A proxy took ?tree= away, so builds do not say whose they are; or answers from what it remembers. What is not seen is triggered again. */
static void test_proxies(struct world *world)
{
	static const struct page cut[] = {EMPTY_QUEUE, {"job/x/api/json", 200, "{\"builds\":[{\"number\":1,\"url\":\"u\"}]}"}, {0}};
	static const struct page none[] = {EMPTY_QUEUE, {"job/x/api/json", 200, "{\"lastBuild\":null,\"builds\":[]}"}, {0}};
	static const struct page gone[] = {EMPTY_QUEUE, {"job/x/api/json", 200, "{\"lastBuild\":{\"number\":1},\"builds\":[{\"number\":1," NONCE("n1") "}]}"}, {0}};
	static const struct page old[] = {EMPTY_QUEUE, {"job/x/2/api/json", 200, "{\"number\":3," NONCE("n3") "}"},
		{"job/x/api/json", 200, "{\"lastBuild\":{\"number\":3},\"builds\":[{\"number\":3," NONCE("n3") "},{\"number\":2," NONCE("n2") "}]}"}, {0}};
	static const struct page without[] = {EMPTY_QUEUE, {"job/x/api/json", 200, "{\"builds\":[{\"number\":4," NONCE("n4") "}]}"}, {0}};
	struct lookup *lookup;

	renew(world);
	world->jenkins = true;
	ask(world, "api/json", NULL);
	lookup = lookup_new(world->master, world->loop);
	is(looks(world, lookup, "n1", cut), "a build of job/x: actions: missing", "builds that do not say whose they are: no absence");
	is(looks(world, lookup, "n1", none), "nowhere", "no builds at all are one");
	lookup_free(lookup);

	renew(world);
	world->jenkins = false;
	ask(world, "api/json", NULL);
	lookup = lookup_new(world->master, world->loop);
	is(looks(world, lookup, "n1", none), "nowhere", "nor has a Hudson any");
	is(looks(world, lookup, "n1", gone), "started", "one that is not there by its number is looked for in the list");
	is(looks(world, lookup, "n2", old), "started", "as is one whose page is that of another");
	is(looks(world, lookup, "n4", without), "started", "and when it is not told which is the last");
	lookup_free(lookup);
}

int main(void)
{
	static const struct httpd_config config = {.listen = "127.0.0.1:0", .option = "x", .body_maximum = 10000};
	static const struct httpd_handler handler = {.end = on_end, .gone = on_gone};
	struct world world = {.arena = arena_new()};
	struct err err = {.kind = ERR_NONE};

	tmp_make();
	if (loop_new(&world.loop, &err) < 0 || !(world.httpd = httpd_daemon_new(world.loop, &config, &handler, &world, &err))) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	world.site = (struct site){.name = "", .user = "ann", .folder = "", .prefix = "", .limit_ms = TAP_LIMIT_MS, .at_once = 3};
	world.site.url = arena_printf(world.arena, "http://127.0.0.1:%u/ci/", httpd_daemon_port(world.httpd));
	world.site.secret = arena_strdup(world.arena, tmp_text("secret", "secret\n", 0600));
	test_crumbs(&world);
	test_dialects(&world);
	test_bounds(&world);
	test_back_off(&world);
	test_secret(&world);
	test_lookup(&world);
	test_proxies(&world);
	test_nobody(&world);
	master_free(world.master);
	httpd_daemon_free(world.httpd);
	loop_free(world.loop);
	arena_free(world.arena);
	return tap_done();
}
