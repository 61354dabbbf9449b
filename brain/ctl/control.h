/*
 * The control socket: {"verb":VERB,"args":{…}} a line, {"reply":{…}} or {"error":TEXT,"exit":N} back (doc/INTERFACES.md), in order,
 * but for what the slave is asked: that is answered when the slave has. Who may: root, the brain's own user, and members of its group.
 */
#ifndef BYOCI_CTL_CONTROL_H
#define BYOCI_CTL_CONTROL_H

#include "calls/brain.h"

struct control;

struct control *control_new(struct brain *brain, struct err *err);
/* brain->ears.asked; `control` is the struct control. */
void control_asked(void *control, int64_t call, const json_t *reply, const struct err *why);
void control_free(struct control *control); /* NULL is allowed */

#endif
