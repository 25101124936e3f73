package gateway_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
)

// ledger is a LedgerService that says what it was asked.
type ledger struct {
	ledgerv1.UnimplementedLedgerServiceServer
}

func (ledger) GetCheckpoint(context.Context, *ledgerv1.GetCheckpointRequest) (*ledgerv1.GetCheckpointResponse, error) {
	return &ledgerv1.GetCheckpointResponse{Checkpoint: []byte("hub.test\n7\n"), Size: 7}, nil
}

func (ledger) GetConsistencyProof(_ context.Context, req *ledgerv1.GetConsistencyProofRequest) (*ledgerv1.GetConsistencyProofResponse, error) {
	return &ledgerv1.GetConsistencyProofResponse{FromSize: req.GetFromSize(), ToSize: req.GetToSize(), Proof: [][]byte{make([]byte, 32)}}, nil
}

func (ledger) GetInclusionProof(context.Context, *ledgerv1.GetInclusionProofRequest) (*ledgerv1.GetInclusionProofResponse, error) {
	return &ledgerv1.GetInclusionProofResponse{Path: [][]byte{make([]byte, 32)}, Index: 1}, nil
}

// ledgerSends sends the numbers in queries of the ledger.
func ledgerSends(e *edge) sends {
	all := sends{}
	for at, form := range ledgerQueries() {
		send := func(n string) answer { return e.get(form + n) }
		all[at+" minimum"], all[at+" maximum"] = send, send
	}
	return all
}

// ledgerQueries returns addresses to which a number can be added, by where OpenAPI
// describes that.
func ledgerQueries() map[string]string {
	return map[string]string{
		"/v1/ledger/consistency?fromSize": "/v1/ledger/consistency?toSize=9&fromSize=",
		"/v1/ledger/consistency?toSize":   "/v1/ledger/consistency?fromSize=9&toSize=",
		"/v1/ledger/inclusion?sequence":   "/v1/ledger/inclusion?size=9&sequence=",
		"/v1/ledger/inclusion?size":       "/v1/ledger/inclusion?sequence=9&size=",
	}
}

func TestLedgerIsServedAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, nil), whatIsSaid(t)
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for path, want := range map[string]string{
		"/v1/ledger/checkpoint":                        `{"checkpoint":"` + base64.StdEncoding.EncodeToString([]byte("hub.test\n7\n")) + `","size":"7"}`,
		"/v1/ledger/consistency?fromSize=2&toSize=7":   `{"fromSize":"2","toSize":"7","proof":["` + hash + `"]}`,
		"/v1/ledger/consistency?from_size=2&to_size=7": `{"fromSize":"2","toSize":"7","proof":["` + hash + `"]}`,
		"/v1/ledger/inclusion?sequence=2&size=7":       `{"path":["` + hash + `"],"index":"1"}`,
	} {
		got := e.get(path)
		if got.StatusCode != http.StatusOK || strings.ReplaceAll(got.body, " ", "") != want {
			t.Errorf("%s: got %d %s, want %s", path, got.StatusCode, got.body, want)
		}
		if !strings.Contains(path, "_") {
			s.call(e, get(path), http.StatusOK)
		}
	}
}

// A number that cannot be read is named, with what was sent and what is allowed.
func TestWrongNumbersInQueriesOfTheLedgerAreNamed(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil)
	for path, wants := range map[string][]string{
		"/v1/ledger/consistency?fromSize=a&toSize=0": {`"field":"fromSize"`, `"field":"toSize"`, "a whole number from 1 to", "phải là số nguyên từ 1 đến"},
		"/v1/ledger/consistency?from_size=1.5":       {`"field":"from_size"`, `"sent":"1.5"`},
		"/v1/ledger/inclusion?sequence=-1&size=07":   {`"field":"sequence"`, `"field":"size"`, `"sent":"07"`},
	} {
		got := e.get(path)
		for _, want := range wants {
			if got.StatusCode != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(got.body, `": `, `":`), want) {
				t.Errorf("%s: got %d %s, want 400 and %s", path, got.StatusCode, got.body, want)
			}
		}
	}
}
