package packet_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/lienthong/lienthong/packet/samples"
)

// BenchmarkDecodeXML reads, maps and validates the XML samples. The peer only
// takes them apart with encoding/xml and maps nothing.
func BenchmarkDecodeXML(b *testing.B) {
	codec := newCodec(b)
	for _, s := range samples.Good() {
		if s.Format != xmlFormat {
			continue
		}
		b.Run(s.Name+"/packet", func(b *testing.B) {
			b.SetBytes(int64(len(s.Content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Decode(s.Type, s.Format, s.Content); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(s.Name+"/encoding-xml-tokens", func(b *testing.B) {
			b.SetBytes(int64(len(s.Content)))
			b.ReportAllocs()
			for b.Loop() {
				if err := tokens(s.Content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func tokens(content []byte) error {
	for decoder := xml.NewDecoder(bytes.NewReader(content)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func BenchmarkEncodeXML(b *testing.B) {
	codec := newCodec(b)
	for _, s := range samples.Good() {
		if s.Format != xmlFormat {
			continue
		}
		m := decode(b, codec, s.Type, s.Format, s.Content).Message
		b.Run(s.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(m, xmlFormat); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
