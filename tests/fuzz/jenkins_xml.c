/* A job's, view's or node's description as a master sends it: what is read has one form, which is read as the same again. */
#include "jobs/jenkins_xml.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct err err;
	struct jenkins_xml *root = jenkins_xml_parse(arena, (const char *)bytes, length, &err), *again;
	char *form, *second, *shown;

	if (root) {
		form = jenkins_xml_form(arena, root, false);
		shown = jenkins_xml_form(arena, root, true);
		for (const char *at = shown; *at; at++)
			MUST((unsigned char)*at >= ' ' || *at == '\n' || *at == '\t');
		again = jenkins_xml_parse(arena, form, strlen(form), &err);
		MUST(again);
		second = jenkins_xml_form(arena, again, false);
		MUST(strstr(form, "&#") || strlen(second) >= strlen(form) / 2);
	}
	arena_free(arena);
	return 0;
}
