/* Starts Hudson's own server: the war's main class takes versions of Java above 9 for too old. Arguments: those of the server, then the war's folder. */
public class Launch {
	public static void main(String[] args) throws Exception {
		int last = args.length - 1;
		org.eclipse.hudson.jetty.JettyLauncher.start(java.util.Arrays.copyOf(args, last), new java.io.File(args[last]).toURI().toURL());
	}
}
