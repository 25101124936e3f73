package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// LoadItems returns the registry's items of these kinds, by kind and key.
func (s *Store) LoadItems(ctx context.Context, kinds []string) ([]store.Item, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.indexAll(func(w *window) bool { return len(w.items) > 0 }); err != nil {
		return nil, err
	}
	var items []store.Item
	for _, kind := range kinds {
		prefix := pairKey(keyItem, kind, "")
		if err := s.index.scan(prefix, after(prefix), collect(kind, prefix, &items, -1)); err != nil {
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
	if err := checkKinds(items); err != nil {
		return err
	}
	return s.append(frameItems, changedItems(items), func(w *window) {
		for _, item := range items {
			if item.Value != nil {
				item.Value = append([]byte{}, item.Value...)
			}
			w.items = append(w.items, item)
		}
		w.size += len(items)
	})
}

func checkKinds(items []store.Item) error {
	for _, item := range items {
		if bytes.IndexByte([]byte(item.Kind), 0) >= 0 {
			return fmt.Errorf("item kind %q contains a zero byte", item.Kind)
		}
	}
	return nil
}

// append makes one frame durable and shows it.
func (s *Store) append(kind byte, payload []byte, show func(*window)) error {
	s.mu.Lock()
	_, err := s.journal.Append(kind, payload)
	if err == nil {
		show(s.current)
	}
	s.mu.Unlock()
	if err == nil {
		err = s.journal.Sync()
	}
	if errors.Is(err, journal.ErrFull) {
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// indexAll brings the index up to date where a window has what is asked for.
func (s *Store) indexAll(has func(*window) bool) error {
	s.mu.RLock()
	needed := has(s.current) || s.frozen != nil && has(s.frozen)
	s.mu.RUnlock()
	if !needed {
		return nil
	}
	return s.checkpoints.now(s)
}

// AppendAudit adds one line to the audit log, durably, and returns its number.
func (s *Store) AppendAudit(ctx context.Context, record []byte) (uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var number uint64
	err = s.append(frameAudit, record, func(w *window) {
		s.audits++
		number = s.audits
		w.addAudit(record)
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

// AuditAfter returns lines of the audit log after a number, at most limit.
func (s *Store) AuditAfter(ctx context.Context, afterSequence uint64, limit int) ([]store.Entry, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.indexAll(func(w *window) bool { return len(w.audit) > 0 }); err != nil {
		return nil, err
	}
	var entries []store.Entry
	err = s.index.scan(sequenceKey(keyAudit, following(afterSequence)), []byte{keyAudit + 1}, func(key, record []byte) (bool, error) {
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

// ViewCursor returns the last sequence the views have taken in; 0 for none.
func (s *Store) ViewCursor(ctx context.Context) (uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	value, err := s.index.get(viewCursorKey())
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseNumber(value)
}

// ApplyView changes view items and moves the cursor, all or none. Views can be
// rebuilt from the accepted log, so this waits for no fsync: after a crash the
// cursor and the items are both as at some moment before.
func (s *Store) ApplyView(ctx context.Context, cursor uint64, changes []store.Item) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := checkKinds(changes); err != nil {
		return err
	}
	batch := s.index.db.NewBatch()
	for _, item := range changes {
		key := pairKey(keyView, item.Kind, item.Key)
		if item.Value == nil {
			err = errors.Join(err, batch.Delete(key, nil))
		} else {
			err = errors.Join(err, batch.Set(key, item.Value, nil))
		}
	}
	err = errors.Join(err, batch.Set(viewCursorKey(), binary.BigEndian.AppendUint64(nil, cursor), nil))
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), batch.Close())
	}
	return s.index.commit(ctx, s.checkpoints.quit, batch)
}

// ViewItem returns one view item, or store.ErrNotFound.
func (s *Store) ViewItem(ctx context.Context, kind, key string) ([]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.index.get(pairKey(keyView, kind, key))
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
	err = s.index.scan(prefix, after(prefix), collect(kind, pairKey(keyView, kind, ""), &items, limit))
	return items, err
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
