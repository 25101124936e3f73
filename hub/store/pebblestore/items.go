package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
)

// LoadItems returns the registry's items of these kinds, by kind and key.
func (s *Store) LoadItems(ctx context.Context, kinds []string) ([]store.Item, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var items []store.Item
	for _, kind := range kinds {
		prefix := pairKey(keyItem, kind, "")
		if err := s.scan(prefix, after(prefix), collect(kind, prefix, &items, -1)); err != nil {
			return nil, fmt.Errorf("load %s: %w", kind, err)
		}
	}
	return items, nil
}

// SaveItems writes and deletes registry items, all or none, durably.
func (s *Store) SaveItems(ctx context.Context, items []store.Item) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.apply(keyItem, items, nil, pebble.Sync)
}

// ViewCursor returns the last sequence the views have taken in; 0 for none.
func (s *Store) ViewCursor(ctx context.Context) (uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	value, err := s.get(cursorKey())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(value) != 8:
		return 0, fmt.Errorf("%w: view cursor of %d bytes", store.ErrCorrupt, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// ApplyView changes view items and moves the cursor, all or none. Views can be
// rebuilt from the accepted log, so this waits for no fsync: after a crash the
// cursor and the items are both as before or both as after.
func (s *Store) ApplyView(ctx context.Context, cursor uint64, changes []store.Item) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.apply(keyView, changes, binary.BigEndian.AppendUint64(nil, cursor), pebble.NoSync)
}

// ViewItem returns one view item, or store.ErrNotFound.
func (s *Store) ViewItem(ctx context.Context, kind, key string) ([]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.get(pairKey(keyView, kind, key))
}

// ViewItems returns at most limit view items whose keys have the prefix, by key.
func (s *Store) ViewItems(ctx context.Context, kind, keyPrefix string, limit int) ([]store.Item, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var items []store.Item
	prefix := pairKey(keyView, kind, keyPrefix)
	err = s.scan(prefix, after(prefix), collect(kind, pairKey(keyView, kind, ""), &items, limit))
	return items, err
}

// AppendAudit adds one line to the audit log, durably, and returns its number.
func (s *Store) AppendAudit(ctx context.Context, record []byte) (uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	batch := s.db.NewBatch()
	s.auditing.Lock()
	sequence := s.nextAudit
	err = batch.Set(sequenceKey(keyAudit, sequence), record, nil)
	if err == nil {
		err = s.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err == nil {
		s.nextAudit++
	}
	s.auditing.Unlock()
	if err != nil {
		return 0, errors.Join(classify(err), batch.Close())
	}
	if err := errors.Join(batch.SyncWait(), batch.Close()); err != nil {
		return 0, classify(err)
	}
	for known := s.durableAudit.Load(); known < sequence && !s.durableAudit.CompareAndSwap(known, sequence); {
		known = s.durableAudit.Load()
	}
	return sequence, nil
}

// AuditAfter returns lines of the audit log after a number, at most limit.
func (s *Store) AuditAfter(ctx context.Context, afterSequence uint64, limit int) ([]store.Entry, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var entries []store.Entry
	upper := sequenceKey(keyAudit, following(s.durableAudit.Load()))
	err = s.scan(sequenceKey(keyAudit, following(afterSequence)), upper, func(key, record []byte) (bool, error) {
		if len(entries) >= limit {
			return false, nil
		}
		sequence, err := sequenceOf(key)
		if err != nil {
			return false, err
		}
		entries = append(entries, store.Entry{Sequence: sequence, Record: append([]byte(nil), record...)})
		return true, nil
	})
	return entries, err
}

func (s *Store) apply(kind byte, items []store.Item, cursor []byte, wait *pebble.WriteOptions) error {
	batch := s.db.NewBatch()
	var err error
	for _, item := range items {
		key := pairKey(kind, item.Kind, item.Key)
		switch {
		case bytes.IndexByte([]byte(item.Kind), 0) >= 0:
			err = errors.Join(err, fmt.Errorf("item kind %q contains a zero byte", item.Kind))
		case item.Value == nil:
			err = errors.Join(err, batch.Delete(key, nil))
		default:
			err = errors.Join(err, batch.Set(key, item.Value, nil))
		}
	}
	if cursor != nil {
		err = errors.Join(err, batch.Set(cursorKey(), cursor, nil))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), batch.Close())
	}
	if err := batch.Commit(wait); err != nil {
		return errors.Join(classify(err), batch.Close())
	}
	if err := batch.Close(); err != nil {
		return classify(err)
	}
	return nil
}

// collect gathers items, stripping the prefix from their keys; limit < 0: all.
func collect(kind string, prefix []byte, items *[]store.Item, limit int) func(key, value []byte) (bool, error) {
	return func(key, value []byte) (bool, error) {
		if limit >= 0 && len(*items) >= limit {
			return false, nil
		}
		*items = append(*items, store.Item{
			Kind:  kind,
			Key:   string(key[len(prefix):]),
			Value: append([]byte{}, value...),
		})
		return true, nil
	}
}

func cursorKey() []byte { return []byte{keyMeta, 'c'} }
