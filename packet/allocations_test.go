//go:build !race

// The race detector makes pools forget at random, so that nothing can be counted.

package packet_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// spareAllocations is how many more allocations reading and validating a packet
// may take than a copy of the message, which shares the texts.
const spareAllocations = 8

func TestReadingAllocatesTheMessageAndLittleElse(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	codec := newCodec(t)
	const runs = 20
	for _, d := range measured(t, codec) {
		m := decode(t, codec, d.typ, xmlFormat, d.content).Message
		inJSON := encode(t, codec, m, jsonFormat)
		message := testing.AllocsPerRun(runs, func() { proto.Clone(m) })
		inXML := testing.AllocsPerRun(runs, func() { decode(t, codec, d.typ, xmlFormat, d.content) })
		fromJSON := testing.AllocsPerRun(runs, func() { decode(t, codec, d.typ, jsonFormat, inJSON) })
		if inXML > message+spareAllocations || fromJSON > message+spareAllocations {
			t.Errorf("%s: %.0f allocations from XML, %.0f from JSON; a copy of the message takes %.0f, want at most %d more",
				d.name, inXML, fromJSON, message, spareAllocations)
		}
	}
}
