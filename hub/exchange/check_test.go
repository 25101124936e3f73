package exchange_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// storedPacket is a packet that a hub has accepted, as its store has it.
func storedPacket(t *testing.T) exchange.Stored {
	t.Helper()
	h := start(t, options{})
	submit(t, h.node("H41/motcua"), envelope("id-1", "0001"))
	h.stop()
	var found exchange.Stored
	var once sync.Once
	_, err := pebblestore.Check(t.Context(), filepath.Join(h.dir, "store"), pebblestore.CheckOptions{
		Judge: func(g *pebblestore.Contents) ([]pebblestore.Wrong, func(bool)) {
			p := g.Packets[0]
			once.Do(func() {
				found = exchange.Stored{Submission: p.Submission, Sequence: g.First, At: g.At, Record: bytes.Clone(p.Record), Leaf: bytes.Clone(p.Leaf)}
			})
			return nil, nil
		},
	}, func(f pebblestore.Finding) { t.Errorf("found %+v", f) })
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func noLarge(blobs.Content) {}

// Whatever one of record, statement and store says otherwise than the others is found.
func TestDisagreementsAreFound(t *testing.T) {
	t.Parallel()
	sound := storedPacket(t)
	if found := exchange.Disagreements("hub.test", sound, noLarge); len(found) > 0 {
		t.Fatalf("of a sound packet: %q", found)
	}
	record := func(change func(*exchangev1.AcceptedPacket)) func(*exchange.Stored) {
		return func(p *exchange.Stored) { p.Record = altered(t, p.Record, &exchangev1.AcceptedPacket{}, change) }
	}
	leaf := func(change func(*exchangev1.Statement)) func(*exchange.Stored) {
		return func(p *exchange.Stored) { p.Leaf = altered(t, p.Leaf, &exchangev1.Statement{}, change) }
	}
	for name, tc := range map[string]struct {
		change func(*exchange.Stored)
		want   string
	}{
		"content":              {record(func(r *exchangev1.AcceptedPacket) { r.Envelope.Content[50]++ }), "SHA-256 in the record"},
		"content and its hash": {record(func(r *exchangev1.AcceptedPacket) { r.ContentSha256[0]++ }), "SHA-256 in the record"},
		"format":               {record(func(r *exchangev1.AcceptedPacket) { r.Envelope.Format = exchangev1.Format_FORMAT_JSON }), "digest"},
		"record's sequence":    {record(func(r *exchangev1.AcceptedPacket) { r.Sequence = 2 }), "of packet 2"},
		"record's time":        {record(func(r *exchangev1.AcceptedPacket) { r.AcceptedAt = timestamppb.New(time.Unix(1, 0)) }), "another time"},
		"record's sender":      {record(func(r *exchangev1.AcceptedPacket) { r.Sender = "G12/motcua" }), "another sender"},
		"record's id":          {record(func(r *exchangev1.AcceptedPacket) { r.Envelope.Id = "id-2" }), "another id"},
		"record's type":        {record(func(r *exchangev1.AcceptedPacket) { r.Envelope.Type = packetv1.PacketType_PACKET_TYPE_SURVEY }), "another type"},
		"record's speaker":     {record(func(r *exchangev1.AcceptedPacket) { r.OnBehalfOf = "G12" }), "another organisation"},
		"record's subject":     {record(func(r *exchangev1.AcceptedPacket) { r.Subject = "x" }), "another subject"},
		"no record":            {func(p *exchange.Stored) { p.Record = []byte("\xff") }, "record cannot be read"},
		"statement's hub":      {leaf(func(s *exchangev1.Statement) { s.Hub = "other" }), `hub "other"`},
		"statement's sequence": {leaf(func(s *exchangev1.Statement) { s.Sequence = 2 }), "of packet 2"},
		"statement's time":     {leaf(func(s *exchangev1.Statement) { s.AcceptedAt = timestamppb.New(time.Unix(1, 0)) }), "another time"},
		"statement's sender":   {leaf(func(s *exchangev1.Statement) { s.Sender = "G12/motcua" }), "another sender"},
		"statement's id":       {leaf(func(s *exchangev1.Statement) { s.EnvelopeId = "id-2" }), "another id"},
		"statement's type":     {leaf(func(s *exchangev1.Statement) { s.Type = packetv1.PacketType_PACKET_TYPE_SURVEY }), "another type"},
		"statement's subject":  {leaf(func(s *exchangev1.Statement) { s.Subject = "x" }), "another subject"},
		"statement's hash":     {leaf(func(s *exchangev1.Statement) { s.ContentSha256[0]++ }), "SHA-256 in the statement"},
		"recipients":           {leaf(func(s *exchangev1.Statement) { s.Recipients = nil }), "other recipients"},
		"no statement":         {func(p *exchange.Stored) { p.Leaf = []byte("\xff") }, "statement cannot be read"},
		"digest":               {func(p *exchange.Stored) { p.Digest[0]++ }, "digest"},
		"order":                {func(p *exchange.Stored) { p.Order++ }, "another subject"},
		"kind":                 {func(p *exchange.Stored) { p.Kind++ }, "another type"},
	} {
		changed := sound
		tc.change(&changed)
		found := strings.Join(exchange.Disagreements("hub.test", changed, noLarge), "; ")
		if !strings.Contains(found, tc.want) {
			t.Errorf("another %s: %q; want %q", name, found, tc.want)
		}
	}
}

// Of a packet that is no longer kept, what is left agrees, and must.
func TestRemovedPacketsAgree(t *testing.T) {
	t.Parallel()
	p := storedPacket(t)
	p.Removed, p.Record, p.Recipients = true, nil, nil
	noLarge := func(c blobs.Content) { t.Errorf("told of %+v", c) }
	if found := exchange.Disagreements("hub.test", p, noLarge); len(found) > 0 {
		t.Errorf("%q; want none", found)
	}
	p.ID = "another"
	if found := exchange.Disagreements("hub.test", p, noLarge); len(found) != 1 {
		t.Errorf("another id: %q; want that", found)
	}
}

// A content that is kept beside its packet is told.
func TestLargeContentsAreTold(t *testing.T) {
	t.Parallel()
	p := storedPacket(t)
	p.Record = altered(t, p.Record, &exchangev1.AcceptedPacket{}, func(r *exchangev1.AcceptedPacket) {
		r.Envelope.Upload = &exchangev1.Upload{Size: uint64(len(r.Envelope.Content)), Sha256: r.ContentSha256}
		p.ContentBytes = int64(len(r.Envelope.Content))
		r.Envelope.Content = nil
	})
	var told []blobs.Content
	found := exchange.Disagreements("hub.test", p, func(c blobs.Content) { told = append(told, c) })
	if len(found) > 0 || len(told) != 1 || told[0].Sender != p.Sender || told[0].ID != p.ID {
		t.Errorf("%q, told %+v; want the content of %s and no disagreement", found, told, p.ID)
	}
}

// altered returns a message with a change.
func altered[M proto.Message](t *testing.T, written []byte, message M, change func(M)) []byte {
	t.Helper()
	if err := proto.Unmarshal(written, message); err != nil {
		t.Fatal(err)
	}
	change(message)
	again, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return again
}
