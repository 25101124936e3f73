package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// broken is a store whose fsync has failed.
type broken struct{ *pebblestore.Store }

// Accept implements exchange.Store.
func (broken) Accept(context.Context, []store.Submission, store.SealFunc) ([]store.Outcome, error) {
	return nil, fmt.Errorf("%w: %w", store.ErrBroken, syscall.EIO)
}

// Nobody is left waiting by a store that is broken, nobody is told that something was
// accepted, and the exchange ends: only opening the store again can help.
func TestBrokenStoreEndsTheExchange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	signer, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	service := newService(t, exchange.Config{
		Store: broken{s}, DeadLetters: s, Ledger: signer, Clock: time.Now,
		Rights: &rights{receivers: map[string][]string{"H41": {"G22/cong"}}},
		Caller: func(context.Context) (string, bool) { return "H41/motcua", true },
	})
	ran := make(chan error, 1)
	const callers = 8
	answered := make(chan error, callers)
	for i := range callers {
		go func() {
			_, err := service.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(fmt.Sprint(i), "0001")})
			answered <- err
		}()
	}
	go func() { ran <- service.Run(t.Context()) }()
	for range callers {
		if err := within(t, answered, "an answer"); fault.From(err).Code != codes.Unavailable {
			t.Errorf("answered %v; want Unavailable", err)
		}
	}
	if err := within(t, ran, "the end of the exchange"); !errors.Is(err, store.ErrBroken) {
		t.Errorf("the exchange ended with %v; want ErrBroken", err)
	}
}
