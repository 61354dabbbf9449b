#include "build/executor.h"

#include "build/jenkins.h"
#include "build/local.h"

void executor_begin(struct calls_act *act, const void *about)
{
	if (jenkins_is_lane(act->lane))
		jenkins_begin(act, &jenkins_build);
	else
		local_begin(act, about);
}

void executor_cancel(struct calls_act *act)
{
	if (jenkins_is_lane(act->lane))
		jenkins_cancel(act);
	else
		local_cancel(act);
}

void executor_drop(struct calls_act *act)
{
	if (jenkins_is_lane(act->lane))
		jenkins_drop(act);
	else
		local_drop(act);
}
