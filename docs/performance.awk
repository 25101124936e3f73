# Writes docs/performance.md from the output of `make bench`: medians of its runs,
# each beside a named peer of the same run.
FILENAME ~ /machine/ { machine[FNR] = $0; next }
/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)
	if (!(name in runs)) order[++names] = name
	ns[name, ++runs[name]] = $3
	for (i = 4; i < NF; i++) if ($(i + 1) == "allocs/op") allocs[name] = $i
}
function median(name,    i, j, n, t, a) {
	n = runs[name]
	for (i = 1; i <= n; i++) a[i] = ns[name, i] + 0
	for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
	return a[int((n + 1) / 2)]
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
	print "## A packet of 1 KB through the hub"
	print ""
	print "Two nodes submit XML progress packets over pipelined gRPC streams, one node receives and acknowledges each; mutual TLS,"
	print "one fsync a commit group, senders, hub and recipient in one process on the same cores. The peer moves the same packets over the"
	print "same streams into the same kind of log and out again, with nothing of a hub in between: no parsing, no rights, no"
	print "idempotency, no order, no receipts and their verification, no ledger, no inboxes, no public views."
	print ""
	print "| | packets/s | ratio |"
	print "|---|---:|---:|"
	printf "| `BenchmarkPipeline`: the hub | %d | %.2f |\n", 1e9 / median("Pipeline"), median("BarePipeline") / median("Pipeline")
	printf "| `BenchmarkBarePipeline`: the peer | %d | 1.00 |\n", 1e9 / median("BarePipeline")
	print ""
	bar = 0.75
	met = median("BarePipeline") / median("Pipeline") >= bar ? "met" : "missed"
	printf "The bar for the exchange engine is %.2f of the peer; it is %s. What bounds the hub, by profile, is CPU: the views read\n", bar, met
	print "every packet a second time and look its dossier up, idempotency keys are looked up one by one, and both nodes share the cores"
	print "with the hub."
	print ""
	print "## Reading a packet"
	print ""
	print "`packet` reads, maps to Protobuf and validates; the peer, encoding/xml, only takes the text apart."
	print ""
	print "| sample | packet | allocations | encoding/xml tokens | ratio |"
	print "|---|---:|---:|---:|---:|"
	for (i = 1; i <= names; i++) {
		if (order[i] !~ /^DecodeXML\/.*\/packet$/) continue
		sample = order[i]
		sub(/^DecodeXML\//, "", sample)
		sub(/\/packet$/, "", sample)
		peer = "DecodeXML/" sample "/encoding-xml-tokens"
		printf "| %s | %.1f µs | %d | %.1f µs | %.2f |\n", sample, median(order[i]) / 1000, allocs[order[i]], median(peer) / 1000, median(peer) / median(order[i])
	}
}
