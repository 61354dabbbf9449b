/* The executor `local`: the slave daemon of this host and namespace, on slave.socket. `about` is not used. */
#ifndef BYOCI_BUILD_LOCAL_H
#define BYOCI_BUILD_LOCAL_H

#include "build/executor.h"

void local_begin(struct calls_act *act, const void *about);
void local_cancel(struct calls_act *act);
void local_drop(struct calls_act *act);

#endif
