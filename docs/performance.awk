# Writes docs/performance.md from the output of `make bench`: medians of its runs,
# each beside a named peer of the same run. Bars are compared here, never by hand.
FILENAME ~ /machine/ { machine[FNR] = $0; next }
/^Benchmark/ && $4 == "ns/op" {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)
	if (!(name in runs)) order[++names] = name
	runs[name]++
	for (i = 3; i < NF; i += 2) value[name, $(i + 1), runs[name]] = $i
}

# figure returns the median of what a benchmark says in a unit; 0 where it was not run.
function figure(name, unit,    i, j, n, t, a) {
	n = runs[name]
	for (i = 1; i <= n; i++) a[i] = value[name, unit, i] + 0
	for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
	return n ? a[int((n + 1) / 2)] : 0
}

# held counts a bar and says whether it is met.
function held(met) {
	bars++
	if (met) barsMet++
	return met ? "met" : "missed"
}

function duration(ns) { return ns >= 1e6 ? sprintf("%.2f ms", ns / 1e6) : sprintf("%.2f µs", ns / 1e3) }

# table writes the runs of one benchmark, each beside its peer. The ratio is how many
# times faster than the peer; bar is the least of it, speed the least MB/s (0: none).
# Where only names a document, the bar is for that one. other is another way to do
# the same, which is shown and not judged.
function table(benchmark, peer, peerName, bar, speed, only, other,    i, d, ours, theirs, ratio, met, speeds, shared, sharing) {
	sharing = other != ""
	printf "| document | packet | MB/s |%s %s | ratio | bar | |\n", (sharing ? " " other " |" : ""), peerName
	printf "|---|---:|---:|%s---:|---:|---:|---|\n", (sharing ? "---:|" : "")
	for (i = 1; i <= names; i++) {
		d = order[i]
		if (d !~ "^" benchmark "/.*/packet$") continue
		ours = figure(d, "ns/op")
		speeds = figure(d, "MB/s")
		sub("^" benchmark "/", "", d)
		sub(/\/packet$/, "", d)
		theirs = figure(benchmark "/" d "/" peer, "ns/op")
		shared = sharing ? " " duration(figure(benchmark "/" d "/" other, "ns/op")) " |" : ""
		if (!theirs) {
			printf "| %s | %s | %.0f |%s not measured | | %.1f | |\n", d, duration(ours), speeds, shared, bar
			continue
		}
		ratio = theirs / ours
		met = ratio >= bar && speeds >= speed
		if (only != "" && d != only) {
			printf "| %s | %s | %.0f |%s %s | %.2f | | |\n", d, duration(ours), speeds, shared, duration(theirs), ratio
			continue
		}
		printf "| %s | %s | %.0f |%s %s | %.2f | %.1f%s | %s |\n", d, duration(ours), speeds, shared, duration(theirs), ratio, bar, \
			(speed ? ", " speed " MB/s" : ""), held(met)
	}
	print ""
}

# allocations writes what reading allocates beside what the message alone takes.
function allocations(spare,    i, d, ours, least) {
	print "| document | reading | | copy of the message | | Protobuf's reader | | bar | |"
	print "|---|---:|---:|---:|---:|---:|---:|---:|---|"
	for (i = 1; i <= names; i++) {
		d = order[i]
		if (d !~ /^DecodeXML\/.*\/packet$/) continue
		sub(/^DecodeXML\//, "", d)
		sub(/\/packet$/, "", d)
		ours = figure("DecodeXML/" d "/packet", "allocs/op")
		least = figure("Message/" d "/clone", "allocs/op")
		if (!least) continue
		printf "| %s | %d | %d B | %d | %d B | %d | %d B | %d | %s |\n", d, ours, figure("DecodeXML/" d "/packet", "B/op"), \
			least, figure("Message/" d "/clone", "B/op"), figure("Message/" d "/unmarshal", "allocs/op"), \
			figure("Message/" d "/unmarshal", "B/op"), least + spare, held(ours <= least + spare)
	}
	print ""
}

# memory writes what reading and writing large packets takes, in sizes of them.
function memory(bar,    i, d, parts) {
	print "| packet of 50 MB | | MB/s | memory, in sizes of it | bar | |"
	print "|---|---|---:|---:|---:|---|"
	for (i = 1; i <= names; i++) {
		d = order[i]
		if (d !~ /^LargePacket\//) continue
		split(d, parts, "/")
		gsub(/_/, " ", parts[2])
		printf "| %s | %s | %.0f | %.2f | %.1f | %s |\n", parts[2], parts[3], figure(d, "MB/s"), figure(d, "sizes"), bar, \
			held(figure(d, "sizes") <= bar)
	}
	print ""
}

# judged writes a bar and whether it is met; one that was not measured at its size is
# not judged.
function judged(bar, atSize, met) { return bar " | " (atSize ? held(met) : "not measured at its size") }

# path writes what one case of the whole path came to. bar is the least packets/s (0:
# none).
function path(name, what, bar,    d) {
	d = "Exchange/" name
	if (!(d in runs)) return
	printf "| %s | %d | %d | %.1f µs | %d | %d | %s |\n", what, figure(d, "packets/s"), figure(d, "deliveries/s"), \
		figure(d, "cpu-us/packet"), figure(d, "written-B/packet"), figure(d, "groups/s"), \
		(bar ? judged(bar " packets/s", 1, figure(d, "packets/s") >= bar) : " | ")
}

function wholePath() {
	print "## How many packets a second go the whole path?"
	print ""
	print "From submission on a stream over validation, stable storage and delivery to an acknowledgement that is confirmed, everything"
	print "over mutual TLS. Senders, hub and recipients are one process on the same cores: what the load takes is in the figures, the"
	print "verification of every receipt too. Every run fails unless all recipients have all packets, once, and each dossier\047s in order."
	print ""
	print "In the base case 8 nodes send Protobuf packets of 1 KB in frames of what has gathered, to one recipient; ids are UUIDv7, and"
	print "there are five packets to a dossier. The other cases differ from it in one thing. However many nodes send, one receives, as the"
	print "national portal does; with fan-out 5, five receive every packet. A commit group is one fsync. Bytes written are"
	print "those that files were made to hold, by this process."
	print ""
	print "| | packets/s | deliveries/s | CPU, a packet | bytes written, a packet | commit groups/s | bar | |"
	print "|---|---:|---:|---:|---:|---:|---:|---|"
	path("base", "base case: 8 nodes, Protobuf, 1 KB", 60000)
	path("format=XML", "XML", 40000)
	path("frame=1", "one packet a frame", 40000)
	path("packet=2KB", "2 KB", 0)
	path("nodes=1", "1 node", 0)
	path("nodes=64", "64 nodes", 0)
	path("nodes=1000", "1,000 nodes", 0)
	path("fan-out=5", "fan-out 5", 0)
	print ""
	print "What bounds the hub here is the processor, which it shares with its load. By a profile that was taken beside these runs, not in"
	print "them, a sixth goes to the public views, a fifth to"
	print "reading, validating and writing down packets, a fifth to TLS, HTTP/2 and system calls, a tenth to Protobuf, an eighth to memory and"
	print "its collection, and a tenth to the senders\047 verification of receipts."
	print ""
}

# waited writes the latencies of one case.
function waited(d, what) {
	if (!(d in runs)) return
	printf "| %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", what, figure(d, "packets/s"), \
		figure(d, "accept-p50-ms"), figure(d, "accept-p99-ms"), figure(d, "accept-p99.9-ms"), \
		figure(d, "deliver-p50-ms"), figure(d, "deliver-p99-ms"), figure(d, "deliver-p99.9-ms")
}

function latency() {
	print "## How long does a packet take?"
	print ""
	print "In milliseconds, from sending until the receipt is verified, and until the recipient\047s handler has the packet. At half load,"
	print "packets are due in bursts a millisecond apart, at half the rate that the same hub has just taken, and time counts from when one"
	print "was due, not from when it could go. At full load, senders keep 8,192 packets on their way: that is what is waited for then."
	print ""
	print "| | packets/s | receipt, median | 99 % | 99.9 % | delivery, median | 99 % | 99.9 % |"
	print "|---|---:|---:|---:|---:|---:|---:|---:|"
	waited("Exchange/load=half", "half load")
	waited("Exchange/base", "full load")
	waited("Exchange/frame=1", "full load, one packet a frame")
	waited("Exchange/nodes=1000", "full load, 1,000 nodes")
	waited("NATS/async/packet=1KB", "NATS JetStream, asynchronous, full load")
	waited("NATS/batch/packet=1KB", "NATS JetStream, atomic batches, full load")
	print ""
}

# beside writes one mode of NATS beside the hub. bar is how many times as many packets
# the hub is to move (0: none).
function beside(mode, size, what, bar,    ours, theirs, ratio) {
	theirs = figure("NATS/" mode "/packet=" size, "packets/s")
	ours = figure("Exchange/" (size == "1KB" ? "base" : "packet=" size), "packets/s")
	if (!theirs) {
		printf "| %s | %d | not measured | | | %s | not measured |\n", what, ours, (bar ? bar : "")
		return
	}
	ratio = ours / theirs
	printf "| %s | %d | %d | %.1f µs | %.1f | %s |\n", what, ours, theirs, figure("NATS/" mode "/packet=" size, "cpu-us/packet"), ratio, \
		(bar ? judged(bar, 1, ratio >= bar) : " | ")
}

function nats(    ours, theirs) {
	print "## How does that compare with NATS JetStream?"
	print ""
	print "A NATS server with a JetStream stream in files, `sync_interval: always`, message ids looked at for duplicates, 8 publishers, and"
	print "a consumer that acknowledges each packet explicitly; mutual TLS, server and load in one process, the same sizes, in turn with"
	print "the hub. It does less: it does not look into packets, knows no rights, signs no receipts, keeps no ledger and no views, and"
	print "looks for duplicates only within a window of time, here longer than the run. It keeps the order of all packets where the hub"
	print "keeps that of each dossier. Its asynchronous publishers, with 8,192 packets on their way, wait for one fsync a packet; atomic"
	print "batches of 512 wait for two a batch, and where one packet is refused, its whole batch is."
	print ""
	print "| NATS JetStream | hub, packets/s | NATS, packets/s | NATS, CPU a packet | ratio | bar | |"
	print "|---|---:|---:|---:|---:|---:|---|"
	beside("async", "1KB", "asynchronous, 1 KB", 12)
	beside("batch", "1KB", "atomic batches, 1 KB", 1.5)
	beside("async", "2KB", "asynchronous, 2 KB", 0)
	beside("batch", "2KB", "atomic batches, 2 KB", 0)
	print ""
	if ((theirs = figure("NATS/batch/packet=1KB", "cpu-us/packet")) > 0) {
		ours = figure("Exchange/base", "cpu-us/packet")
		printf "Of the %d cores, the hub keeps %.1f busy in the base case, NATS with atomic batches %.1f: what bounds the hub is the processor,\n", \
			machine[3], ours * figure("Exchange/base", "packets/s") / 1e6, theirs * figure("NATS/batch/packet=1KB", "packets/s") / 1e6
		printf "of which a packet takes %.1f µs, where NATS takes %.1f µs and waits for its batches.\n", ours, theirs
		print ""
	}
}

function exchange(    ratio) {
	print "## What does a hub cost beside a bare pipeline?"
	print ""
	print "Two nodes submit XML progress packets of 1 KB over pipelined gRPC streams, one node receives and acknowledges each; mutual TLS,"
	print "one fsync a commit group, senders, hub and recipient in one process on the same cores. The peer moves the same packets over the"
	print "same streams into the same kind of log and out again, with nothing of a hub in between: no parsing, no rights, no"
	print "idempotency, no order, no receipts and their verification, no ledger, no inboxes, no public views."
	print ""
	ratio = figure("BarePipeline", "ns/op") / figure("Pipeline", "ns/op")
	print "| | packets/s | ratio | bar | |"
	print "|---|---:|---:|---:|---|"
	printf "| `BenchmarkPipeline`: the hub | %d | %.2f | %s |\n", 1e9 / figure("Pipeline", "ns/op"), ratio, judged("0.75", 1, ratio >= 0.75)
	printf "| `BenchmarkBarePipeline`: the peer | %d | 1.00 | | |\n", 1e9 / figure("BarePipeline", "ns/op")
	print ""
	print "What bounds the hub, by profile, is CPU: of what it does beside the peer, a third is the public views (looking dossiers up, writing"
	print "them), a third is reading and validating packets and writing their records, the rest hashing, receipts and their verification."
	print ""
}

function backlog(    n, slower) {
	if (!("Backlog" in runs)) return
	n = figure("Backlog", "backlog")
	slower = 1 - figure("Backlog", "beside/s") / figure("Backlog", "alone/s")
	print "## What happens when a recipient comes back?"
	print ""
	printf "One was away while %d packets came for it. Now it takes and acknowledges them, while another node goes on sending\n", n
	print "5,000 packets a second to another recipient, in bursts a millisecond apart; its deliveries are timed from when each was due."
	print ""
	print "| | | bar | |"
	print "|---|---:|---:|---|"
	printf "| backlog, packets/s | %d | %s |\n", figure("Backlog", "drained/s"), judged("50000 of 1000000", n >= 1e6, figure("Backlog", "drained/s") >= 50000)
	printf "| live traffic alone, packets/s | %d | | |\n", figure("Backlog", "alone/s")
	printf "| live traffic meanwhile, packets/s | %d | %s |\n", figure("Backlog", "beside/s"), judged("a quarter less at most", n >= 1e6, slower <= 0.25)
	printf "| delivery alone, median and 99 %% | %.1f and %.1f ms | | |\n", figure("Backlog", "alone-p50-ms"), figure("Backlog", "alone-p99-ms")
	printf "| delivery meanwhile, median and 99 %% | %.1f and %.1f ms | | |\n", figure("Backlog", "beside-p50-ms"), figure("Backlog", "beside-p99-ms")
	print ""
}

function stored(    i, d, n, most, first, last) {
	if (!("Stored/start" in runs)) return
	print "## Does it get slower as packets gather?"
	print ""
	print "The base case again and again, 50,000 packets each time, on one data directory; then a start on what is there, from nothing"
	print "until a call is answered, with the files still cached."
	print ""
	print "| packets stored | packets/s | CPU, a packet | bytes written, a packet |"
	print "|---:|---:|---:|---:|"
	for (i = 1; i <= names; i++) {
		d = order[i]
		if (d !~ /^Stored\/stored=/) continue
		last = figure(d, "cpu-us/packet")
		if (!first) first = last
		n = d
		sub(/.*=/, "", n)
		printf "| %d | %d | %.1f µs | %d |\n", n, figure(d, "packets/s"), last, figure(d, "written-B/packet")
	}
	most = figure("Stored/start", "stored")
	print ""
	print "| | | bar | |"
	print "|---|---:|---:|---|"
	printf "| CPU a packet with %d stored, beside that with 10000 | %.2f | %s |\n", n, last / first, judged("1.25 with 10000000", n >= 1e7, last / first <= 1.25)
	printf "| start with %d stored | %.0f ms | %s |\n", most, figure("Stored/start", "start-ms"), \
		judged("1000 ms with 10000000", most >= 1e7, figure("Stored/start", "start-ms") <= 1000)
	print ""
}

function idle(    n, resident) {
	if (!("Idle" in runs)) return
	n = figure("Idle", "nodes")
	resident = figure("Idle", "peak-MiB")
	print "## What do nodes cost that have nothing to do?"
	print ""
	print "The hub is the program itself in a process of its own. Each node has mutual TLS of its own and an open stream of deliveries. The"
	print "most that the hub had in memory, from its start until all were connected and a hundred of them had received a packet:"
	print ""
	print "| nodes | memory | a node | connected, nodes/s | bar | |"
	print "|---:|---:|---:|---:|---:|---|"
	printf "| %d | %d MiB | %.0f KiB | %d | %s |\n", n, resident, 1024 * resident / n, figure("Idle", "connected/s"), \
		judged("1536 MiB for 10000", n >= 10000, resident <= 1536)
	print ""
}

function packets(    written) {
	print "## Reading and writing packets"
	print ""
	print "One sample of each packet, and a dossier of 9,000 elements, on one core. `packet` maps to Protobuf, takes the liberties the"
	print "standard needs, reports each with its place, and keeps what it does not know; its peers do less, each says what. Ratios are"
	print "the peer's time by ours."
	print ""
	print "### Reading XML and validating it"
	print ""
	print "The peer is `encoding/xml.Unmarshal` of the same document into plain structs, with dates and decimals left as text and"
	print "nothing validated. `shared` is the hub's way to read: the message may keep the bytes it was read from."
	print ""
	table("DecodeXML", "encoding-xml", "encoding/xml", 10, 100, "dossier.xml", "shared")
	print "`dossier-loose.xml` is as many senders write: dates in the guide\047s spelling and no attachments, which makes three warnings."
	print ""
	print "### Reading XML, without the rules"
	print ""
	print "The peer is libxml2's SAX2 parser (`xmlSAXUserParseMemory`) with handlers that count and do nothing else: no message, no"
	print "dates, no numbers. It is measured where its headers can be had."
	print ""
	table("ReadXML", "libxml2-sax2", "libxml2 SAX2", 1, 0, "", "")
	print "### Writing XML"
	print ""
	print "The peer is `encoding/xml.Marshal` of the plain structs, without the indentation that `packet` writes. `reused`"
	print "is `Append` into room that is there already."
	print ""
	table("EncodeXML", "encoding-xml", "encoding/xml", 10, 0, "", "reused")
	written = figure("EncodeXML/dossier.xml/packet", "ns/op")
	if (written) {
		printf "Of writing dossier.xml, %.0f %% is the memory for the result, as `reused` shows; the rest is moving bytes, checking UTF-8 and\n", \
			100 * (1 - figure("EncodeXML/dossier.xml/reused", "ns/op") / written)
		print "looking for what must be escaped, element by element."
		print ""
	}
	print "### Reading JSON and validating it"
	print ""
	print "The peer is `protojson.Unmarshal` of its own rendering of the same message, which validates nothing."
	print ""
	table("DecodeJSON", "protojson", "protojson", 1, 0, "", "shared")
	print "### Writing JSON"
	print ""
	print "The peer is `protojson.Marshal` of the same message."
	print ""
	table("EncodeJSON", "protojson", "protojson", 1, 0, "", "")
	print "### Allocations"
	print ""
	print "How often reading and validating XML allocates, and how much, beside a copy of the message, which shares the texts (the bar,"
	print "and 8 more), and Protobuf's own reader. The bytes hold one copy of the document, which the message refers to; `shared` has none."
	print ""
	allocations(8)
	print "### Large packets"
	print ""
	print "A dossier of 50 MB in four attachments: all that reading and validating, or writing, allocates, with the packet itself. What"
	print "is in use at any moment is less."
	print ""
	memory(3)
}

END {
	sub(/^go version /, "", machine[1])
	sub(/^model name[^:]*: */, "", machine[2])
	print "# Performance"
	print ""
	print "Written by `make bench`; medians of 3 runs, but for backlogs, what is stored and idle nodes, which are measured once. Compare"
	print "the ratios: the figures are this machine's."
	print ""
	printf "%s, %s cores of %s, %s, commit %s.\n", machine[1], machine[3], machine[2], machine[4], machine[5]
	print ""
	wholePath()
	nats()
	latency()
	exchange()
	backlog()
	stored()
	idle()
	packets()
	printf "Of %d bars on this page, %d are met.\n", bars, barsMet
}
