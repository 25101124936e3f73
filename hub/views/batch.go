package views

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// Kinds of view items.
const (
	kindDossier      = "dossier"      // dossier key -> StoredDossier
	kindStatistic    = "statistic"    // organisation/period, newest first -> Statistic
	kindSurvey       = "survey"       // organisation/time, newest first -> Survey
	kindOrganisation = "organisation" // organisation -> ReportingOrganisation
	kindLayout       = "layout"       // "" -> layout
)

// batch gathers changes to view items, so that many packets become one write
// and a dossier that many packets speak of is read and written once.
type batch struct {
	store   Store
	changed map[item]change
	order   []item
	// positions are the shown positions of officials: mostly the same few people act on
	// the dossiers of a batch.
	positions map[official]string
	bytes     int // of the changes
}

type change struct {
	message proto.Message
	bytes   int
}

type official struct{ position, name string }

// position returns what is shown of an official.
func (b *batch) position(position, name string) string {
	who := official{position, name}
	shown, known := b.positions[who]
	if !known {
		shown = officialPosition(position, name)
		b.positions[who] = shown
	}
	return shown
}

type item struct{ kind, key string }

func newBatch(s Store) *batch {
	return &batch{store: s, changed: map[item]change{}, positions: map[official]string{}}
}

// dossier returns a dossier as the batch has it, else as it is stored; nil where
// there is none.
func (b *batch) dossier(ctx context.Context, key string) (*viewv1.StoredDossier, error) {
	if d, ok := b.changed[item{kindDossier, key}].message.(*viewv1.StoredDossier); ok {
		return d, nil
	}
	value, err := b.store.ViewItem(ctx, kindDossier, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read dossier: %w", err)
	}
	d := new(viewv1.StoredDossier)
	if err := proto.Unmarshal(value, d); err != nil {
		return nil, fmt.Errorf("%w: dossier: %w", store.ErrCorrupt, err)
	}
	return d, nil
}

// put makes m the value of an item.
func (b *batch) put(kind, key string, m proto.Message) {
	at := item{kind, key}
	earlier, again := b.changed[at]
	if !again {
		b.order = append(b.order, at)
	}
	now := change{message: m, bytes: sizeAtMost(m)}
	b.changed[at] = now
	b.bytes += now.bytes - earlier.bytes
}

// What texts that are clipped, and a handful of numbers and times, take at most.
const (
	stepBytes   = 2 << 10
	othersBytes = 8 << 10
)

// sizeAtMost is what a message takes, roughly and rather too much: to add up the true
// size of each costs more than it saves.
func sizeAtMost(m proto.Message) int {
	switch m := m.(type) {
	case *viewv1.StoredDossier:
		return othersBytes + len(m.GetDossier().GetSteps())*stepBytes
	case *viewv1.Survey:
		return othersBytes + len(m.GetQuestions())*stepBytes
	}
	return othersBytes
}

// changes returns what to write. Equal contents become equal bytes.
func (b *batch) changes() ([]store.Item, error) {
	items := make([]store.Item, len(b.order))
	for i, at := range b.order {
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(b.changed[at].message)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", at.kind, err)
		}
		items[i] = store.Item{Kind: at.kind, Key: at.key, Value: value}
	}
	return items, nil
}
