#include "conf/option.h"

#include <string.h>

#include "conf/nearest.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)
#define SECOND INT64_C(1000)
#define DAY (24 * 3600 * SECOND)

#define NAMESPACE(n, t) .kind = OPTION_NAMESPACE, .name = (n), .type = (t)
#define PROJECT(n, t) .kind = OPTION_PROJECT, .name = (n), .type = (t)
#define JOB(n, t) .kind = OPTION_JOB, .name = (n), .type = (t)
#define BACKING(n, t) .kind = OPTION_BACKING, .name = (n), .type = (t)
#define ACCOUNT(n, t) .kind = OPTION_ACCOUNT, .name = (n), .type = (t)
#define MASTER(n, t) .kind = OPTION_MASTER, .name = (n), .type = (t)
#define SLAVE(n, t) .kind = OPTION_SLAVE, .name = (n), .type = (t)

const struct option option_table[] = {
	/* Places and users. */
	{NAMESPACE("state", OPTION_PATH), .fallback = "/var/lib/byoci/{byoci}", .text = "Folder of everything that is kept."},
	{NAMESPACE("run", OPTION_PATH), .fallback = "/run/byoci/{byoci}",
		.text = "Folder of sockets and pid files; gone after a reboot."},
	{NAMESPACE("secrets", OPTION_PATH), .fallback = "{state}/secrets",
		.text = "Folder of the secrets: brain/, slave/, land/ and git/, each readable by its user only."},
	{NAMESPACE("libexec", OPTION_PATH), .fallback = "/usr/local/lib/byoci/{byoci}",
		.text = "Folder of the installed programs of this namespace."},
	{NAMESPACE("user", OPTION_NAME), .fallback = "byoci-{byoci}", .text = "User of the brain."},
	{NAMESPACE("slave.user", OPTION_NAME), .fallback = "byoci-{byoci}-slave",
		.text = "User of the slave's daemon and its builds."},
	{NAMESPACE("land.user", OPTION_NAME), .fallback = "byoci-{byoci}-land", .text = "User that holds the landing key."},
	{NAMESPACE("git.user", OPTION_NAME), .fallback = "byoci-{byoci}-git",
		.text = "User of the plain git repositories, and of their ssh addresses."},

	/* The brain. */
	{NAMESPACE("hook.listen", OPTION_ADDRESS), .fallback = "127.0.0.1:8810",
		.text = "Where forges post their web hooks to."},
	{NAMESPACE("hook.body.limit", OPTION_SIZE), .minimum = KIB, .maximum = 64 * MIB, .fallback = "25M",
		.text = "A larger hook is refused (413)."},
	{NAMESPACE("hook.deadline", OPTION_DURATION), .minimum = SECOND, .maximum = 600 * SECOND, .fallback = "1m",
		.text = "A hook that is not here as a whole and answered by then is ended (408)."},
	{NAMESPACE("pages.listen", OPTION_ADDRESS), .fallback = "127.0.0.1:8811", .text = "Where the pages are served."},
	{NAMESPACE("public.url", OPTION_URL), .fallback = "http://{pages.listen}",
		.text = "How the pages are reached from outside: written into comments."},
	{NAMESPACE("poll", OPTION_DURATION), .minimum = SECOND, .maximum = DAY, .fallback = "5m",
		.text = "How often every project's forge is asked for what no hook told."},
	{NAMESPACE("history.keep", OPTION_DURATION), .minimum = 0, .maximum = 3650 * DAY, .fallback = "90d",
		.text = "How long messages of forges, calls, and reasons about proposals that are not open are kept; 0s: for ever."},
	{NAMESPACE("logs.keep", OPTION_DURATION), .minimum = 0, .maximum = 3650 * DAY, .fallback = "365d",
		.text = "How long the brain keeps the logs of builds; 0s: for ever."},
	{NAMESPACE("brain.socket", OPTION_PATH), .fallback = "{run}/brain/socket", .text = "The brain's control socket."},
	{NAMESPACE("brain.principal", OPTION_NAME), .fallback = "brain",
		.text = "The brain's name in allowed_signers; its approvals never count."},

	/* Slave, landing and worker. */
	{NAMESPACE("slave.name", OPTION_NAME), .fallback = "local",
		.text = "Name of this slave in results; its public key is result-keys/NAME.pub."},
	{NAMESPACE("slave.socket", OPTION_PATH), .fallback = "{run}/slave/socket", .text = "Where byoci-slave serve listens."},
	{NAMESPACE("slave.clients", OPTION_NAMES), .text = "Further users who may ask the slave for builds."},
	{NAMESPACE("slave.disk.minimum", OPTION_SIZE), .minimum = 0, .maximum = 16 * TIB, .fallback = "1G",
		.text = "A slave with less free space in {state} is unwell: its master gives it no tests; 0: it is not looked at."},
	{NAMESPACE("slave.clock.limit", OPTION_DURATION), .minimum = SECOND, .maximum = DAY, .fallback = "1m",
		.text = "A slave whose clock differs more from the master's or the brain's is unwell."},
	{NAMESPACE("builds.keep", OPTION_DURATION), .minimum = 0, .maximum = 3650 * DAY, .fallback = "14d",
		.text = "How long a slave keeps what is left of a build: spec, log, result and artefacts."},
	{NAMESPACE("artefacts.total", OPTION_SIZE), .minimum = KIB, .maximum = 16 * TIB, .fallback = "10G",
		.text = "So much is kept of all builds; those of the oldest are thrown away to make room for what comes."},
	{NAMESPACE("premade.maximum", OPTION_INTEGER), .minimum = 0, .maximum = 1000, .fallback = "16",
		.text = "How many merges a slave keeps that were made before their builds are asked for; 0: none."},
	{NAMESPACE("land.socket", OPTION_PATH), .fallback = "{run}/land/socket",
		.text = "Where byoci-slave serve --land listens."},
	{NAMESPACE("approval.socket", OPTION_PATH), .fallback = "{run}/approval/socket",
		.text = "Where byoci-slave serve --land tells the slave whether a build's commit is the approved one, for its secrets."},
	{NAMESPACE("land.clients", OPTION_NAMES), .text = "Further users who may ask for landings."},
	{NAMESPACE("landing.fullname", OPTION_TEXT), .fallback = "byoci", .text = "Author and committer of merges."},
	{NAMESPACE("landing.email", OPTION_TEXT), .fallback = "byoci@localhost",
		.text = "Mail address of the author and committer of merges."},
	{NAMESPACE("landing.principal", OPTION_NAME), .fallback = "landing",
		.text = "The landing account's name in allowed_signers; its approvals never count."},
	{NAMESPACE("worker.socket", OPTION_PATH), .fallback = "{run}/worker/socket", .text = "Where byoci-worker listens."},
	{NAMESPACE("worker.ids.first", OPTION_INTEGER), .minimum = 100000, .maximum = 4290000000, .fallback = "1000000000",
		.text = "First of the user and group ids of the workers, 65536 for each slot and as many to try new backings with; no two "
			"namespaces may share any."},
	{NAMESPACE("worker.slots", OPTION_INTEGER), .minimum = 1, .maximum = 64, .fallback = "2",
		.text = "How many workers there may be at a time."},
	{NAMESPACE("worker.blank", OPTION_BOOLEAN), .fallback = "no",
		.text = "Whether a container for no job yet waits, so that a worker starts sooner; it takes a slot, until one needs it."},
	{NAMESPACE("lxd.socket", OPTION_PATH), .fallback = "/var/lib/lxd/unix.socket",
		.text = "Where LXD listens, for backings with workers = lxd."},
	{NAMESPACE("lxd.limit", OPTION_DURATION), .minimum = SECOND, .maximum = 3600 * SECOND, .fallback = "1m",
		.text = "An answer of LXD that takes longer is trouble of the machine."},
	{NAMESPACE("lxd.project", OPTION_NAME), .fallback = "default", .text = "LXD's project that its workers are in."},
	{NAMESPACE("lxd.pool", OPTION_NAME), .fallback = "default", .text = "LXD's storage pool that its workers begin in."},
	{NAMESPACE("worker.proxy", OPTION_ADDRESS),
		.text = "The HTTP proxy that workers with network = proxy reach, and nothing else; what it fetches is for it to decide."},
	{NAMESPACE("worker.nat", OPTION_TEXT), .fallback = "10.213.0.0/24",
		.text = "Addresses of workers with network = nat: a network that this machine has no other use for."},
	{NAMESPACE("worker.nat.deny", OPTION_LIST),
		.fallback = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, "
		"192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3",
		.text = "Networks that workers with network = nat don't reach; the host's own addresses never."},
	{NAMESPACE("worker.nat.dns", OPTION_LIST),
		.text = "Name servers of workers with network = nat; the host's own, when it is not set."},
	{NAMESPACE("backing.files", OPTION_PATH), .fallback = "/etc/byoci/{byoci}/files",
		.text = "Folder of the files that backings take."},
	{NAMESPACE("worker.kept", OPTION_INTEGER), .minimum = 0, .maximum = 64, .fallback = "2",
		.text = "How many workers of failed builds may be kept at a time, beside those that work."},
	{NAMESPACE("keep.limit", OPTION_DURATION), .minimum = SECOND, .maximum = 30 * DAY, .fallback = "1d",
		.text = "A kept worker goes after that, whoever wanted it for how long."},

	/* Authors who look at what their proposal did. */
	{NAMESPACE("author.listen", OPTION_ADDRESS),
		.text = "Where the ssh server listens through which authors get into copies of kept workers; none: there is no such server."},
	{NAMESPACE("author.user", OPTION_NAME), .fallback = "byoci-{byoci}-author",
		.text = "User that they come in as, who can do nothing but ask the slave for such a copy."},
	{NAMESPACE("author.socket", OPTION_PATH), .fallback = "{run}/author/socket", .text = "Where he asks for it."},

	/* A master that runs builds. */
	{NAMESPACE("master.url", OPTION_URL),
		.text = "Root of a Jenkins or Hudson that runs builds and landings; none: the slave of this machine does."},
	{NAMESPACE("master.user", OPTION_TEXT), .text = "Who we are there; nobody, when it is not set."},
	{NAMESPACE("master.secret", OPTION_PATH), .fallback = "{secrets}/brain/master",
		.text = "File of that user's API token or password, of mode 0600."},
	{NAMESPACE("master.ca", OPTION_PATH),
		.text = "File of the certificates (PEM) that the master's is checked by; the system's, when it is not set."},
	{NAMESPACE("master.folder", OPTION_TEXT),
		.text = "Folder of our jobs on the master, A or A/B; its root, when it is not set."},
	{NAMESPACE("master.prefix", OPTION_TEXT), .fallback = "{byoci}-",
		.text = "How the names of our jobs, views and nodes on the master begin."},
	{NAMESPACE("master.limit", OPTION_DURATION), .minimum = SECOND, .maximum = 600 * SECOND, .fallback = "20s",
		.text = "An answer of the master that takes longer is none."},
	{NAMESPACE("master.at.once", OPTION_INTEGER), .minimum = 1, .maximum = 64, .fallback = "4",
		.text = "How many requests to the master are under way at a time."},
	/* What a master needs of this machine, and a master of our own. */
	{NAMESPACE("agent.user", OPTION_NAME), .fallback = "byoci-{byoci}-agent",
		.text = "User that a master's agent runs its jobs as; may ask the slave for builds and for landings."},
	{NAMESPACE("agent.listen", OPTION_ADDRESS), .fallback = "127.0.0.1:8814",
		.text = "Where the ssh server listens that masters start their agent through."},
	{NAMESPACE("master.war", OPTION_PATH),
		.text = "The war file of Jenkins or Hudson that setup/byoci --master stands a master up from."},
	{NAMESPACE("master.listen", OPTION_ADDRESS), .fallback = "127.0.0.1:8813", .text = "Where that master listens."},
	{NAMESPACE("master.key", OPTION_PATH), .fallback = "{secrets}/master/id_ed25519",
		.text = "The master's ssh key to its slaves, as the master's host has it."},
	{NAMESPACE("master.known.hosts", OPTION_PATH), .fallback = "/etc/byoci/{byoci}/slave_hosts",
		.text = "File of the slaves' ssh host keys, as the master's host has it."},
	{NAMESPACE("master.jobs", OPTION_PATH), .fallback = "{libexec}/jobs",
		.text = "Folder of the templates that byoci jenkins sync makes our jobs from."},
	{NAMESPACE("master.builder", OPTION_TEXT), .fallback = "jenkins-jobs",
		.text = "The program that makes them, of jenkins-job-builder: a name, or a path."},
	{NAMESPACE("master.health", OPTION_DURATION), .minimum = 100, .maximum = DAY, .fallback = "1m",
		.text = "How often the brain looks what the slaves' health jobs said, and takes nodes offline or back."},
	{NAMESPACE("master.builds", OPTION_INTEGER), .minimum = 10, .maximum = 100000, .fallback = "200",
		.text = "How many builds a job keeps on the master."},

	/* The built-in git forge. */
	{NAMESPACE("git.listen", OPTION_ADDRESS), .fallback = "127.0.0.1:8812",
		.text = "Where the ssh server of the plain git repositories listens."},
	{NAMESPACE("git.root", OPTION_PATH), .fallback = "{state}/git", .text = "Folder of the plain git repositories."},
	{NAMESPACE("git.config", OPTION_PATH), .fallback = "/etc/byoci/{byoci}/gitconfig",
		.text = "The only git configuration that byoci's own git commands read."},

	{PROJECT("repository", OPTION_URL), .mandatory = true, .text = "Where the project is cloned from and landed to."},
	{PROJECT("repository.read", OPTION_PLACE), .fallback = "{repository}",
		.text = "Where it is read from, when that is nearer or needs no key."},
	{PROJECT("account", OPTION_NAME), .refers = "account", .fallback = "git", .text = "The forge account: [account/NAME]."},
	{PROJECT("target", OPTION_REFS), .fallback = "main", .text = "The gated branches."},
	{PROJECT("jobs", OPTION_NAMES), .refers = "job", .mandatory = true,
		.text = "The jobs that must succeed before anything lands: [job/NAME]."},
	{PROJECT("approvals", OPTION_INTEGER), .minimum = 1, .maximum = 100, .fallback = "1",
		.text = "How many people must approve."},
	{PROJECT("approvals.self", OPTION_BOOLEAN), .fallback = "no", .text = "Whether the proposer's own approval counts."},
	{PROJECT("allowed_signers", OPTION_PATH), .fallback = "/etc/byoci/{byoci}/allowed_signers/{name}",
		.text = "Who may propose and approve: ssh-keygen's ALLOWED SIGNERS file."},
	{PROJECT("launchpad.name", OPTION_TEXT),
		.text = "The repository's unique name on Launchpad, ~OWNER/PROJECT/+git/NAME; the path of {repository}."},
	{PROJECT("tree.limit", OPTION_SIZE), .minimum = MIB, .maximum = 16 * TIB, .fallback = "8G",
		.text = "Disk that the files of a merge may take on the slave; more is refused, also before anybody approved it."},
	{PROJECT("reviewers", OPTION_NAMES),
		.text = "On forges where anybody may vote: people and teams whose votes count."},
	{PROJECT("secrets", OPTION_LIST),
		.text = "Files below {secrets}/worker/ that approved builds find in their worker: SOURCE or SOURCE:/PATH; /run/secrets/SOURCE."},
	{PROJECT("keep", OPTION_DURATION), .minimum = 0, .maximum = 30 * DAY, .fallback = "0s",
		.text = "How long the worker of a failed build is kept, stopped, with its disk; 0s: not at all."},
	{PROJECT("author.shell", OPTION_BOOLEAN), .fallback = "no",
		.text = "Whether the author of an approved proposal is let into copies, without secrets, of the workers that are kept of it."},
	{PROJECT("author.limit", OPTION_DURATION), .minimum = SECOND, .maximum = DAY, .fallback = "30m",
		.text = "Such a copy goes after that."},
	{PROJECT("dir.trusted", OPTION_NAMES),
		.text = "People (principals of allowed_signers) whose proposals may be tested by workers that nothing contains: workers = dir."},
	{PROJECT("landing.key", OPTION_PATH), .fallback = "{{byoci}.secrets}/land/id_ed25519",
		.text = "The ssh key that may move the gated branches."},

	{JOB("backing", OPTION_NAME), .refers = "backing", .mandatory = true,
		.text = "What its workers are made from: [backing/NAME]."},
	{JOB("setup.command", OPTION_TEXT), .text = "Run before the tests, in their folder."},
	{JOB("tests.command", OPTION_TEXT), .mandatory = true, .text = "The tests: succeed when it exits with 0."},
	{JOB("tests.limit", OPTION_DURATION), .minimum = SECOND, .maximum = 7 * DAY, .fallback = "1h",
		.text = "Tests that take longer are ended."},
	{JOB("output.limit", OPTION_SIZE), .minimum = KIB, .maximum = GIB, .fallback = "16M",
		.text = "Tests that print more are ended."},
	{JOB("memory", OPTION_SIZE), .minimum = 16 * MIB, .maximum = 16 * TIB, .fallback = "2G", .text = "Memory of a worker."},
	{JOB("processes", OPTION_INTEGER), .minimum = 16, .maximum = 1000000, .fallback = "1024",
		.text = "Processes and threads of a worker."},
	{JOB("disk", OPTION_SIZE), .minimum = 16 * MIB, .maximum = 16 * TIB, .fallback = "2G",
		.text = "What a worker may write."},
	{JOB("disk.kind", OPTION_CHOICE), .choices = "memory|image", .fallback = "memory",
		.text = "Where that is: in memory (tmpfs), or in a file system image on the host's disk."},
	{JOB("cpus", OPTION_INTEGER), .minimum = 1, .maximum = 4096,
		.text = "Processors of a worker; all, when it is not set."},
	{JOB("keep", OPTION_DURATION), .minimum = 0, .maximum = 30 * DAY, .fallback = "0s", .aside = true,
		.text = "As the project's, for this job; the longer one counts."},
	{JOB("master", OPTION_NAME), .refers = "master", .aside = true,
		.text = "Which further master runs it, [master/NAME]; else the namespace's, when it has one."},
	{JOB("artefacts", OPTION_LIST),
		.text = "What the tests leave and is kept: patterns of paths in their folder; * is no /, **/ any folders."},
	{JOB("artefacts.limit", OPTION_SIZE), .minimum = KIB, .maximum = 4 * GIB - 1, .fallback = "64M",
		.text = "So much is kept of one build; files that do not fit are left out."},
	{JOB("artefacts.count", OPTION_INTEGER), .minimum = 1, .maximum = 100000, .fallback = "1000",
		.text = "So many files are kept of one build."},
	{JOB("reports", OPTION_LIST),
		.text = "Artefacts that are test reports (JUnit's XML, subunit or TAP) and are counted; stdout: what the tests print is TAP."},
	{JOB("io.limit", OPTION_SIZE), .minimum = 64 * KIB, .maximum = TIB,
		.text = "What a worker may read from disk in a second, and write; any, when it is not set."},
	{JOB("io.weight", OPTION_INTEGER), .minimum = 1, .maximum = 1000,
		.text = "A worker's share of a disk that several want, 100 being that of the others; it needs the scheduler bfq, or io.cost."},
	{JOB("network", OPTION_CHOICE), .choices = "none|proxy|nat", .fallback = "none",
		.text = "What a worker reaches: nothing, the proxy worker.proxy, or the world but the host and private networks."},
	{JOB("init", OPTION_CHOICE), .choices = "tiny|systemd", .fallback = "tiny",
		.text = "The first process of a worker: one that only waits, or systemd (backing packages: systemd, dbus)."},
	{JOB("nested", OPTION_BOOLEAN), .fallback = "no",
		.text = "Whether tests may make user name spaces, mounts and containers of their own in a worker."},

	{BACKING("source", OPTION_CHOICE), .choices = "mmdebstrap|tarball|backing|lxd", .fallback = "mmdebstrap",
		.text = "What it is made from: Debian packages, a tarball, another backing, or an image that LXD has or fetches."},
	{BACKING("suite", OPTION_NAME), .fallback = "bookworm", .text = "The Debian release."},
	{BACKING("variant", OPTION_CHOICE), .choices = "minbase|apt|essential|buildd|important|standard", .fallback = "minbase",
		.text = "What is installed before any package: mmdebstrap's variant."},
	{BACKING("mirror", OPTION_URL), .text = "Where the packages come from; the host's own sources, when it is not set."},
	{BACKING("tarball", OPTION_PATH), .text = "With source = tarball: a file of root's with a root file system in it."},
	{BACKING("sha256", OPTION_TEXT), .text = "Of the tarball, 64 hex digits: looked at before anything is unpacked."},
	{BACKING("tarball.setuid", OPTION_BOOLEAN), .fallback = "no",
		.text = "Whether a tarball or an image may have programs with more rights than their caller."},
	{BACKING("base", OPTION_NAME), .refers = "backing", .text = "With source = backing: the one that it is built on."},
	{BACKING("lxd.image", OPTION_TEXT), .text = "With source = lxd: the image's alias or fingerprint, in LXD or on lxd.server."},
	{BACKING("lxd.server", OPTION_URL),
		.text = "A server of images (simplestreams), from which LXD fetches it each time; without it LXD must have it."},
	{BACKING("lxd.fingerprint", OPTION_TEXT), .text = "The only image that is meant by it, 64 hex digits."},
	{BACKING("packages", OPTION_NAMES), .text = "Packages that are installed as well."},
	{BACKING("files", OPTION_LIST),
		.text = "Files that are copied into it before setup.command runs, SOURCE:DESTINATION; sources are names below {backing.files}."},
	{BACKING("setup.command", OPTION_TEXT), .text = "Run in it once, when it is made."},
	{BACKING("smoke.command", OPTION_TEXT), .fallback = "true",
		.text = "Run in a worker made from it, without a network, before it is used; it is used when this exits with 0."},
	{BACKING("refresh", OPTION_DURATION), .minimum = 0, .maximum = 365 * DAY, .fallback = "1d", .aside = true,
		.text = "How often it is made anew from the same: what was released since then is in it. 0: never."},
	{BACKING("ready.minimum", OPTION_INTEGER), .minimum = 0, .maximum = 64, .fallback = "1", .aside = true,
		.text = "How many workers wait for a build of the job that was asked for last, started already, as far as there are slots."},
	{BACKING("ready.maximum", OPTION_INTEGER), .minimum = 0, .maximum = 64, .fallback = "2", .aside = true,
		.text = "How many wait when several of its jobs were asked for within ready.expiry: one more for each of them. 0: nor is "
			"one started when a push is told of."},
	{BACKING("ready.expiry", OPTION_DURATION), .minimum = SECOND, .maximum = 7 * DAY, .fallback = "1h", .aside = true,
		.text = "How long one waits before another takes its place."},
	{BACKING("workers", OPTION_CHOICE), .choices = "lxc|lxd|dir", .fallback = "lxc",
		.text = "What makes workers of it: liblxc, LXD, or nothing that contains them (dir: for tests on a laptop)."},

	{ACCOUNT("dialect", OPTION_CHOICE), .choices = "git|launchpad|github|gitea|gitlab", .fallback = "{name}",
		.text = "What the forge speaks."},
	{ACCOUNT("api.url", OPTION_URL), .text = "Root of the forge's API; Launchpad's is https://api.launchpad.net/devel."},
	{ACCOUNT("api.ca", OPTION_PATH),
		.text = "File of the certificates (PEM) that the API's and that of keys.url are checked by; the system's, when it is not set."},
	{ACCOUNT("known.hosts", OPTION_PATH),
		.text = "File of the forge's ssh host keys, as ssh-keyscan prints them, which setup/byoci lets git trust: compare them first."},
	{ACCOUNT("keys.url", OPTION_URL),
		.text = "Root of the pages where people's ssh keys are; Launchpad's is https://launchpad.net, GitHub's https://github.com, "
			"others' the repository's host."},
	{ACCOUNT("own.names", OPTION_NAMES),
		.text = "Our own names on the forge: their approvals never count, and only comments by them are ours."},
	{ACCOUNT("secret", OPTION_PATH), .fallback = "{secrets}/brain/hook-{name}",
		.text = "File of the secret that its hooks are signed with."},
	{ACCOUNT("secret.previous", OPTION_PATH), .fallback = "{secret}.previous",
		.text = "File of the secret before that one, good until it is removed."},

	{SLAVE("address", OPTION_TEXT), .fallback = "{agent.listen}",
		.text = "HOST or HOST:PORT of the ssh server that the master starts its agent through."},
	{SLAVE("user", OPTION_NAME), .fallback = "{agent.user}", .text = "The agent's user there."},
	{SLAVE("host.key", OPTION_PATH),
		.text = "File of that host's public ssh key; that of agent.listen, when it is not set."},
	{SLAVE("labels", OPTION_NAMES), .text = "Further labels of its nodes on the master."},
	{SLAVE("work", OPTION_PATH), .fallback = "{state}/agent", .text = "The agent's folder there."},

	{MASTER("url", OPTION_URL), .mandatory = true, .text = "Root of a Jenkins or Hudson that runs builds and landings."},
	{MASTER("user", OPTION_TEXT), .text = "Who we are there; nobody, when it is not set."},
	{MASTER("secret", OPTION_PATH), .fallback = "{secrets}/brain/master-{name}",
		.text = "File of that user's API token or password, of mode 0600."},
	{MASTER("ca", OPTION_PATH),
		.text = "File of the certificates (PEM) that the master's is checked by; the system's, when it is not set."},
	{MASTER("folder", OPTION_TEXT), .text = "Folder of our jobs on the master, A or A/B; its root, when it is not set."},
	{MASTER("prefix", OPTION_TEXT), .fallback = "{byoci}-",
		.text = "How the names of our jobs, views and nodes on the master begin."},
	{MASTER("limit", OPTION_DURATION), .minimum = SECOND, .maximum = 600 * SECOND, .fallback = "20s",
		.text = "An answer of the master that takes longer is none."},
	{MASTER("at.once", OPTION_INTEGER), .minimum = 1, .maximum = 64, .fallback = "4",
		.text = "How many requests to the master are under way at a time."},
};

const unsigned option_count = sizeof option_table / sizeof *option_table;

static const char *const kind_names[] = {
	[OPTION_NAMESPACE] = "namespace",
	[OPTION_PROJECT] = "project",
	[OPTION_JOB] = "job",
	[OPTION_BACKING] = "backing",
	[OPTION_ACCOUNT] = "account",
	[OPTION_SLAVE] = "slave",
	[OPTION_MASTER] = "master",
};

const struct option *option_find(enum option_kind kind, const char *name)
{
	for (unsigned i = 0; i < option_count; i++)
		if (option_table[i].kind == kind && strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
	return NULL;
}

const char *option_nearest(enum option_kind kind, const char *name)
{
	struct nearest nearest = nearest_to(name);

	for (unsigned i = 0; i < option_count; i++)
		if (option_table[i].kind == kind)
			nearest_try(&nearest, option_table[i].name);
	return nearest.best;
}

const char *option_kind_name(enum option_kind kind)
{
	return kind_names[kind];
}

int option_kind_find(const char *name, size_t length, enum option_kind *kind)
{
	for (unsigned i = OPTION_PROJECT; i < sizeof kind_names / sizeof *kind_names; i++) {
		if (strlen(kind_names[i]) == length && memcmp(kind_names[i], name, length) == 0) {
			*kind = (enum option_kind)i;
			return 0;
		}
	}
	return -1;
}

bool option_reserves(const char *name, size_t length)
{
	enum option_kind kind;

	if ((length == 5 && memcmp(name, "byoci", 5) == 0) || option_kind_find(name, length, &kind) == 0)
		return true;
	for (unsigned i = 0; i < option_count; i++)
		if (strcspn(option_table[i].name, ".") == length && memcmp(option_table[i].name, name, length) == 0)
			return true;
	return false;
}
