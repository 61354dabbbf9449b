/*
 * The hook listener: POST /hook/DIALECT[/ACCOUNT]. The account in the path chooses the secret; the body is verified as it
 * arrives, nothing of it is parsed before; its raw bytes are a row, committed, before the 2xx. No policy here: what a delivery
 * means is the proposal stage's.
 *
 * 202 {"delivery":N} stored · 200 a ping · 400 not a hook · 401 signature bad or missing, or no secret to check it with ·
 * 404 no such path or account · 405 not POST · 415 not JSON · 503 it can't be stored now; 411, 413 and further 503 by loop/httpd.
 * Requests that were refused are counted in `refusals`, by account and status, at most a second later.
 */
#ifndef BYOCI_INTAKE_HOOK_H
#define BYOCI_INTAKE_HOOK_H

#include "calls/brain.h"

struct hook;

/* Listens. NULL: the address can't be had, or an account is misconfigured. */
struct hook *hook_new(struct brain *brain, struct err *err);
void hook_free(struct hook *hook); /* after turn_release(); NULL is allowed */
unsigned hook_port(const struct hook *hook);

#endif
