#include "calls/brain.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "calls/steps.h"
#include "calls/turn.h"

#define REASON_SIZE 2048

enum step brain_step(int done)
{
	return done < 0 ? STEP_FAILED : STEP_DONE;
}

int brain_begin(struct brain *brain, struct err *err)
{
	struct brain_turn *turn = brain->turn;

	if (turn->open)
		return 0;
	if (store_plain(brain->store, STORE_BEGIN, err) < 0)
		return -1;
	turn->open = true;
	loop_wake(turn->soon);
	return 0;
}

void brain_wake(struct brain *brain)
{
	brain->turn->wanted = true;
	loop_wake(brain->turn->soon);
}

void brain_spoil(struct brain *brain)
{
	brain->turn->spoilt = true;
	brain_wake(brain);
}

void brain_after(struct brain *brain, after_fn *call, void *cookie)
{
	after_add(brain->turn->after, call, cookie);
}

bool brain_healthy(const struct brain *brain)
{
	return !brain->turn->failed;
}

int brain_tell(struct brain *brain, enum stage stage, const char *kind, int64_t ref, int64_t delay_ms, struct err *err)
{
	return steps_tell(brain->turn->steps, stage, kind, ref, delay_ms, err);
}

int brain_decide(struct brain *brain, const struct brain_reason *about, struct err *err, const char *format, ...)
{
	char text[REASON_SIZE];
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = ' ';
	return store_run(brain->store, STORE_DECISION_ADD, err, STORE_INTEGER(clock_wall_ms()), STORE_TEXT(about->stage),
		STORE_ID(about->delivery), STORE_ID(about->proposal), STORE_TEXT(text));
}
