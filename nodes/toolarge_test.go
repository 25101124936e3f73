package nodes_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// A packet larger than the hub takes is refused with its size and the bound, in words
// for people; those beside it are not held up, and nothing is logged as if the network
// had failed.
func TestAPacketLargerThanTheHubTakes(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	h := hubtest.Start(t, func(c *hub.Config) { c.ContentBytes = most })
	profile := filepath.Join(t.TempDir(), "profile")
	if _, err := nodes.Join(t.Context(), h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), profile, nodes.JoinOptions{}); err != nil {
		t.Fatal(err)
	}
	h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	var log bytes.Buffer
	c, err := nodes.DialProfile(profile, nodes.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	got := &results{}
	s, err := c.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: got.add})
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"a little": most + 1, "much": 4 * most, "very much": 12 * most}
	for name, size := range sizes {
		id := strings.ReplaceAll(name, " ", "-")
		send(t, s, step(t, "H41-261102-0001", len(name)))
		env := step(t, "H41-261102-0002", 1)
		env.Id, env.Content = id, append(env.GetContent(), bytes.Repeat([]byte(" "), size-len(env.GetContent()))...)
		send(t, s, env)
	}
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for id, all := range got.all {
		size, large := sizes[strings.ReplaceAll(id, "-", " ")]
		if !large {
			if all[0].Err != nil {
				t.Errorf("%s, of a common size: %v", id, all[0].Err)
			}
			continue
		}
		refusals++
		wantTooLarge(t, all[0].Err, size, most)
	}
	if refusals != len(sizes) {
		t.Errorf("%d of %d large packets have a result", refusals, len(sizes))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("it was logged: %s", log.String())
	}
}

func wantTooLarge(t *testing.T, err error, size, most int) {
	t.Helper()
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Code() != codes.ResourceExhausted {
		t.Errorf("%d bytes: %v; want RESOURCE_EXHAUSTED", size, err)
		return
	}
	bound := fmt.Sprint(most) // of the content, or of the message around it
	if refused.Reason() == "message_too_large" {
		bound = fmt.Sprint(most + 1<<20)
	}
	for _, text := range []string{refused.Refusal.GetMessageEn(), refused.Refusal.GetMessageVi()} {
		if !strings.Contains(text, fmt.Sprint(size)) || !strings.Contains(text, bound) || strings.Contains(text, "Config") || strings.Contains(text, "grpc") {
			t.Errorf("%d bytes are refused with %q; want the size and %s", size, text, bound)
		}
	}
}

// A single call says the bound, too.
func TestACallLargerThanTheHubTakes(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ContentBytes = 1 << 20 })
	c := join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), "")
	_, err := c.Submit(t.Context(), &exchangev1.Envelope{Id: "a", Content: make([]byte, 3<<20)})
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "message_too_large" || !strings.Contains(refused.Refusal.GetMessageEn(), "at most 2097152 bytes") ||
		!strings.Contains(refused.Refusal.GetMessageVi(), "tối đa 2097152 byte") {
		t.Errorf("submit: %v; want the bound", err)
	}
}
