package hudson;

import hudson.model.Hudson;

/** In place of Hudson's class of this name, which answers the whole network on UDP port 33848 of every address: no option stops it. */
public class UDPBroadcastThread extends Thread {
	public static final int PORT = 33848;

	public UDPBroadcastThread(Hudson hudson) throws java.io.IOException {
	}

	public void shutdown() {
	}
}
