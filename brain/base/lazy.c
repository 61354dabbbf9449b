#include "base/lazy.h"

#include <dlfcn.h>
#include <string.h>

int lazy_load(const char *library, const struct lazy_call *calls, size_t count, void *table, struct err *err)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_set(err, ERR_SYSTEM, "%s", dlerror());
	for (size_t i = 0; i < count; i++) {
		void *call = dlsym(handle, calls[i].name);

		if (!call)
			return err_set(err, ERR_SYSTEM, "%s has no %s", library, calls[i].name);
		memcpy((char *)table + calls[i].at, &call, sizeof call);
	}
	return 0;
}
