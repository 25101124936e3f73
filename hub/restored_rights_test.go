package hub_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// What a backup does not know, that a node was revoked after it, the start on it warns of:
// it names who is let in.
func TestARestoredHubSaysWhoIsLetIn(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	join(t, h, "H42/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	h.AddNode("H43/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP) // has not joined
	h.SetState("H42/motcua", registryv1.NodeState_NODE_STATE_REVOKED)
	dir := filepath.Join(t.TempDir(), "backup")
	backedUp(t, h.DataDir, dir)
	h.SetState("H41/motcua", registryv1.NodeState_NODE_STATE_REVOKED)
	h.Stop()
	for start, warned := range []bool{true, false} {
		var log bytes.Buffer
		hubtest.Start(t, func(c *hub.Config) {
			c.DataDir = dir
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}).Stop()
		said := strings.Contains(log.String(), `active_nodes=2 active="G22/portal H41/motcua"`) && strings.Contains(log.String(), "revocations")
		if said != warned {
			t.Errorf("start %d on the backup warned %q; want a warning with the active nodes: %v", start, log.String(), warned)
		}
	}
}

// A token that was used after the backup, which does not know that, joins nobody else; nor
// does one that was not used. New ones do.
func TestTokensOfBeforeARestoreAreVoid(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	used := h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	unused := h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	dir := filepath.Join(t.TempDir(), "backup")
	backedUp(t, h.DataDir, dir)
	joinsWith := func(token string) error {
		_, err := nodes.Join(t.Context(), token, filepath.Join(t.TempDir(), "profile"), nodes.JoinOptions{})
		return err
	}
	if err := joinsWith(used); err != nil {
		t.Fatal(err)
	}
	address := h.GRPCAddress()
	for range 2 { // it stays so after a restart
		h.Stop()
		h = hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.GRPC = dir, address })
		for _, token := range []string{used, unused} {
			err := joinsWith(token)
			if told := fault.From(err); told.Code != codes.Unauthenticated || told.Reason != "token_before_restore" ||
				!strings.Contains(told.EN, "restored") || !strings.Contains(told.VI, "khôi phục") {
				t.Errorf("a token of before the restore: %v; want token_before_restore", err)
			}
		}
	}
	for _, id := range []string{"G22/portal", "H41/motcua"} {
		issued, err := h.Admin.IssueToken(t.Context(), &registryv1.IssueTokenRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		if err := joinsWith(issued.GetToken()); err != nil {
			t.Errorf("%s, with a new token: %v", id, err)
		}
	}
}
