/*
 * The control socket: {"verb":VERB,"args":{…}} a line, {"reply":{…}} or {"error":TEXT,"exit":N} back, in order
 * (doc/INTERFACES.md). Who may: root, the brain's own user, and members of its group.
 */
#ifndef BYOCI_CTL_CONTROL_H
#define BYOCI_CTL_CONTROL_H

#include "calls/brain.h"

struct control;

struct control *control_new(struct brain *brain, struct err *err);
void control_free(struct control *control); /* NULL is allowed */

#endif
