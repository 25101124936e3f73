package views_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/views"
)

// measured remembers how large the writes were.
type measured struct {
	*pebblestore.Store
	writes []int
}

func (s *measured) ApplyView(ctx context.Context, cursor uint64, changes []store.Item) error {
	size := 0
	for _, c := range changes {
		size += len(c.Value)
	}
	s.writes = append(s.writes, size)
	return s.Store.ApplyView(ctx, cursor, changes)
}

// Small packets about large dossiers do not gather in memory without bound.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	const dossiers, batch = 20, 8 << 20
	b := newBench(t, newCodec(t))
	t.Cleanup(b.close)
	large := &viewv1.StoredDossier{Owner: "H41", Dossier: &viewv1.Dossier{}}
	for range 499 {
		large.Dossier.Steps = append(large.Dossier.Steps, &viewv1.Step{
			At: at(5, 8), Kind: progress, Position: strings.Repeat("ế", 120), OrganisationName: strings.Repeat("ế", 300),
		})
	}
	value, err := proto.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	b.accept("H41", voted(10, 1))
	b.start()
	b.settle()
	b.stop()
	for i := range dossiers {
		code := fmt.Sprintf("H41-240101-%d", i)
		if err := b.store.ApplyView(t.Context(), 1, []store.Item{{Kind: "dossier", Key: code, Value: value}}); err != nil {
			t.Fatal(err)
		}
		b.accept("H41", progressed(6, 9, 4, func(m *packetv1.MDocumentTraces) { m.DocCode = code }))
	}
	measuring := &measured{Store: b.store}
	if b.views, err = views.New(views.Config{Store: measuring, Codec: b.codec}); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.wantStatus("H41-240101-19", 4)
	b.stop()
	total := 0
	for _, size := range measuring.writes {
		total += size
		if size > batch+2*len(value) {
			t.Errorf("one write holds %d bytes, %d and one dossier were expected at most", size, batch)
		}
	}
	if total < dossiers*len(value) || len(measuring.writes) < 2 {
		t.Errorf("%d bytes in %d writes; every dossier, in more than one write, was expected", total, len(measuring.writes))
	}
}
