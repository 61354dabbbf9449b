package hudson.util;

import java.lang.reflect.Field;

/**
 * In place of Hudson's class of this name, which looks for java.lang.UNIXProcess: Java has none since version 9, and the end of a
 * build that was stopped was an error. The class is sent to the slaves as well; one whose Java lets nobody look into java.lang
 * finds no process, and stops the build all the same.
 */
final class ProcessTree$UnixReflection {
	static final Integer NO_PROCESS = -1;
	private static final Field PID = pid();

	private static Field pid() {
		try {
			Field field = Class.forName("java.lang.ProcessImpl").getDeclaredField("pid");
			field.setAccessible(true);
			return field;
		} catch (ReflectiveOperationException | RuntimeException closed) {
			try {
				return ProcessTree$UnixReflection.class.getDeclaredField("NO_PROCESS");
			} catch (NoSuchFieldException never) {
				throw new AssertionError(never);
			}
		}
	}

	static Field access$300() {
		return PID;
	}

	static void destroyProcesses(int pid) {
		ProcessHandle.of(pid).ifPresent(ProcessHandle::destroy);
	}
}
