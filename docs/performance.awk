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

function exchange(    ratio) {
	print "## A packet of 1 KB through the hub"
	print ""
	print "Two nodes submit XML progress packets over pipelined gRPC streams, one node receives and acknowledges each; mutual TLS,"
	print "one fsync a commit group, senders, hub and recipient in one process on the same cores. The peer moves the same packets over the"
	print "same streams into the same kind of log and out again, with nothing of a hub in between: no parsing, no rights, no"
	print "idempotency, no order, no receipts and their verification, no ledger, no inboxes, no public views."
	print ""
	ratio = figure("BarePipeline", "ns/op") / figure("Pipeline", "ns/op")
	print "| | packets/s | ratio |"
	print "|---|---:|---:|"
	printf "| `BenchmarkPipeline`: the hub | %d | %.2f |\n", 1e9 / figure("Pipeline", "ns/op"), ratio
	printf "| `BenchmarkBarePipeline`: the peer | %d | 1.00 |\n", 1e9 / figure("BarePipeline", "ns/op")
	print ""
	printf "The bar for the exchange engine is %.2f of the peer; it is %s. What bounds the hub, by profile, is CPU: the views read\n", 0.75, (ratio >= 0.75 ? "met" : "missed")
	print "every packet a second time and look its dossier up, idempotency keys are looked up one by one, and both nodes share the cores"
	print "with the hub."
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
	printf "Of %d bars in this section, %d are met.\n", bars, barsMet
}

END {
	sub(/^go version /, "", machine[1])
	sub(/^model name[^:]*: */, "", machine[2])
	print "# Performance"
	print ""
	print "Written by `make bench`; medians of 3 runs. Compare the ratios: the figures are this machine's."
	print ""
	printf "%s, %s cores of %s, %s, commit %s.\n", machine[1], machine[3], machine[2], machine[4], machine[5]
	print ""
	exchange()
	packets()
}
