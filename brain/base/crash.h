/*
 * Places where a process may be killed, for the tests of what a crash leaves behind (tests/e2e/crash.t). Compiled to nothing, except
 * by `make CRASH=1`. There a process kills itself, as SIGKILL would, at the point that BYOCI_CRASH_POINT names: "NAME", or "NAME:N" for
 * the N-th time that this process passes it. It does so only if it can make the file BYOCI_CRASH_MARK: so it happens once, however
 * many processes have that environment, and who waits for the file knows.
 *
 * A name is "PART.WHAT-HAS-JUST-HAPPENED", stands at one place only, and has a row in crash.t; tests/lint/crash.t holds that.
 */
#ifndef BYOCI_BASE_CRASH_H
#define BYOCI_BASE_CRASH_H

#ifdef BYOCI_CRASH
#include "base/strv.h"

#define CRASH_POINT(name) crash_point(name)
/* Into the environment of a process that we start; `environment` is a struct strv *. */
#define CRASH_PASS(environment) crash_pass(environment)

void crash_point(const char *name);
void crash_pass(struct strv *environment);
#else
#define CRASH_POINT(name) ((void)0)
#define CRASH_PASS(environment) ((void)0)
#endif

#endif
