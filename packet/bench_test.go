package packet_test

import (
	"encoding/xml"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/packet"
)

// The benchmarks here come in pairs of one name: `packet`, which maps to Protobuf,
// validates and reports, and a named peer that does less, over the same document
// in the same run. `make bench` computes the ratios.

// measure runs f over and over; size is what it reads or writes.
func measure(b *testing.B, name string, size int, f func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDecodeXML reads and validates: from bytes that stay the caller's, and,
// as the hub does, from bytes that the message may keep.
func BenchmarkDecodeXML(b *testing.B) {
	codec, sharing := newCodec(b), codecWith(b, packet.Options{Shared: true})
	for _, d := range append(measured(b, codec), loose(b)) {
		measure(b, d.name+"/packet", len(d.content), func() error {
			_, err := codec.Decode(d.typ, xmlFormat, d.content)
			return err
		})
		measure(b, d.name+"/shared", len(d.content), func() error {
			_, err := sharing.Decode(d.typ, xmlFormat, d.content)
			return err
		})
		measure(b, d.name+"/encoding-xml", len(d.content), func() error {
			return xml.Unmarshal(d.content, newPlain(d.typ))
		})
	}
}

// BenchmarkReadXML reads into a message and validates nothing; the peer is a
// parser that calls empty functions.
func BenchmarkReadXML(b *testing.B) {
	codec := newCodec(b)
	for _, d := range measured(b, codec) {
		measure(b, d.name+"/packet", len(d.content), func() error {
			_, err := codec.ReadAlone(d.typ, d.content)
			return err
		})
		if program := os.Getenv(sax2Variable); program != "" {
			b.Run(d.name+"/libxml2-sax2", func(b *testing.B) { sax2(b, program, d.content) })
		}
	}
}

// BenchmarkEncodeXML writes.
func BenchmarkEncodeXML(b *testing.B) {
	codec := newCodec(b)
	for _, d := range measured(b, codec) {
		m, plain := decode(b, codec, d.typ, xmlFormat, d.content).Message, newPlain(d.typ)
		if err := xml.Unmarshal(d.content, plain); err != nil {
			b.Fatal(err)
		}
		measure(b, d.name+"/packet", len(d.content), func() error {
			_, err := codec.Encode(m, xmlFormat)
			return err
		})
		var room []byte
		measure(b, d.name+"/reused", len(d.content), func() (err error) {
			room, err = codec.Append(room[:0], m, xmlFormat)
			return err
		})
		measure(b, d.name+"/encoding-xml", len(d.content), func() error {
			_, err := xml.Marshal(plain)
			return err
		})
	}
}

// BenchmarkDecodeJSON reads and validates. Each side reads its own rendering:
// decimals are numbers in ours, strings in the other.
func BenchmarkDecodeJSON(b *testing.B) {
	codec, sharing := newCodec(b), codecWith(b, packet.Options{Shared: true})
	for _, d := range measured(b, codec) {
		m := decode(b, codec, d.typ, xmlFormat, d.content).Message
		ours := encode(b, codec, m, jsonFormat)
		theirs, err := protojson.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		measure(b, d.name+"/packet", len(ours), func() error {
			_, err := codec.Decode(d.typ, jsonFormat, ours)
			return err
		})
		measure(b, d.name+"/shared", len(ours), func() error {
			_, err := sharing.Decode(d.typ, jsonFormat, ours)
			return err
		})
		measure(b, d.name+"/protojson", len(theirs), func() error {
			return protojson.Unmarshal(theirs, m.ProtoReflect().New().Interface())
		})
	}
}

// BenchmarkEncodeJSON writes.
func BenchmarkEncodeJSON(b *testing.B) {
	codec := newCodec(b)
	for _, d := range measured(b, codec) {
		m := decode(b, codec, d.typ, xmlFormat, d.content).Message
		measure(b, d.name+"/packet", len(encode(b, codec, m, jsonFormat)), func() error {
			_, err := codec.Encode(m, jsonFormat)
			return err
		})
		measure(b, d.name+"/protojson", len(protojson.Format(m)), func() error {
			_, err := protojson.Marshal(m)
			return err
		})
	}
}

// BenchmarkMessage makes the messages that the documents stand for and does nothing
// else: the least that reading allocates.
func BenchmarkMessage(b *testing.B) {
	codec := newCodec(b)
	for _, d := range measured(b, codec) {
		m := decode(b, codec, d.typ, xmlFormat, d.content).Message
		wire := encode(b, codec, m, protobufFormat)
		measure(b, d.name+"/clone", len(wire), func() error {
			proto.Clone(m)
			return nil
		})
		measure(b, d.name+"/unmarshal", len(wire), func() error {
			return proto.Unmarshal(wire, m.ProtoReflect().New().Interface())
		})
	}
}
