package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/certs"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes/receipt"
)

func ledgerCommand() *cobra.Command {
	return admin.Group(&cobra.Command{
		Use:   "ledger",
		Short: "Audit a hub's ledger: checkpoints, and that nothing was changed since",
		Long: `Everything a hub accepts is a leaf of one append-only Merkle log, the ledger. At an
interval the hub signs a checkpoint of it. Who keeps a checkpoint can prove, at any
later time, whether the hub has changed, dropped or inserted anything before it.

Any node and any administrator may ask; --profile is the one's or the other's.`,
		Example: `  lienthong ledger checkpoint --profile motcua --out hub.checkpoint
  lienthong ledger consistency --profile motcua --from hub.checkpoint --out hub.checkpoint
  lienthong ledger receipt --profile motcua receipts/*.json`,
	}, checkpointCommand(), consistencyCommand(), ledgerReceiptCommand())
}

// auditOptions are what commands that ask the ledger are told.
type auditOptions struct {
	profile, from, out, under, lang string
	timeout                         time.Duration
}

func (o *auditOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.profile, "profile", defaultProfile, "directory with a node's or an administrator's profile")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the hub")
	langFlag(cmd, &o.lang, "language of what is printed")
}

func checkpointCommand() *cobra.Command {
	var options auditOptions
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Fetch the latest checkpoint and check its signature",
		Long: `Fetches the hub's latest checkpoint and checks that the hub's ledger key has signed
it. With --out it is kept in a file, and said in words; else it is printed as it is, a
signed note (C2SP tlog-checkpoint).`,
		Example: `  lienthong ledger checkpoint --profile motcua --out hub.checkpoint`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return audit(cmd, options, func(ctx context.Context, a *auditor) error {
				latest, err := a.latest(ctx)
				if err != nil {
					return err
				}
				if options.out == "" {
					_, err := cmd.OutOrStdout().Write(latest.signed)
					return err
				}
				return a.keep(options.out, latest)
			})
		},
	}
	options.flags(cmd)
	cmd.Flags().StringVar(&options.out, "out", "", "file to keep it in")
	return cmd
}

func consistencyCommand() *cobra.Command {
	var options auditOptions
	cmd := &cobra.Command{
		Use:   "consistency --from FILE",
		Short: "Prove that nothing before an earlier checkpoint was changed",
		Long: `Fetches the latest checkpoint and the proof that the ledger under it begins with the
ledger under an earlier checkpoint, which --from names. With --out the latest is kept,
for the next time; that may be the same file.

Exit code 1 when that is not proven. Then nothing is overwritten: the hub's checkpoint
is kept beside, in a file that ends in .fork, or .2.fork and so on where there is one
already. The two files, both signed by the hub, are what to show to others.

A hub that was restored from a backup goes on with a ledger of another name. Where that
lacks something that was signed, that is said, with exit code 1, and what to do: keep both
files, and go on from a new checkpoint in a new file.`,
		Example: `  lienthong ledger consistency --profile motcua --from hub.checkpoint --out hub.checkpoint`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.from == "" {
				return usage("--from FILE is required: an earlier checkpoint; get a first one with: lienthong ledger checkpoint --out FILE")
			}
			return audit(cmd, options, func(ctx context.Context, a *auditor) error { return a.consistency(ctx, options) })
		},
	}
	options.flags(cmd)
	cmd.Flags().StringVar(&options.from, "from", "", "file with an earlier checkpoint")
	cmd.Flags().StringVar(&options.out, "out", "", "file to keep the latest checkpoint in")
	return cmd
}

func ledgerReceiptCommand() *cobra.Command {
	var options auditOptions
	cmd := &cobra.Command{
		Use:   "receipt RECEIPT...",
		Short: "Bring receipts under a checkpoint",
		Long: `A receipt that was given on acceptance proves the hub's word. This adds its place in
the ledger to the file: under the latest checkpoint, or the one that --checkpoint names.
What the hub answers is checked before anything is written. Of each file is said what
became of it; one that cannot be brought there does not keep the others from it. What
was lost when the hub was restored from a backup is named: submit it again with the same
id.

Exit codes: 0 all are under the checkpoint; 1 one is not; 2 the command line is wrong.`,
		Example: `  lienthong ledger receipt --profile motcua receipts/*.json
  lienthong ledger receipt --profile motcua --checkpoint hub.checkpoint receipts/*.json`,
		Args: atLeastOne("a file with a receipt"),
		RunE: func(cmd *cobra.Command, files []string) error {
			return audit(cmd, options, func(ctx context.Context, a *auditor) error { return a.receipts(ctx, options.under, files) })
		},
	}
	options.flags(cmd)
	cmd.Flags().StringVar(&options.under, "checkpoint", "", "file with the checkpoint to bring them under; default: the hub's latest")
	return cmd
}

// auditor asks a hub's ledger, and believes nothing that is not signed.
type auditor struct {
	cmd      *cobra.Command
	say      speech
	hub      certs.Hub
	ledger   ledgerv1.LedgerServiceClient
	verifier *receipt.Verifier
}

// signedCheckpoint is a checkpoint that was verified, and its bytes.
type signedCheckpoint struct {
	said   receipt.Checkpoint
	signed []byte
}

// audit connects with a profile, lets do ask, and disconnects.
func audit(cmd *cobra.Command, options auditOptions, do func(context.Context, *auditor) error) error {
	say, err := speechOf(options.lang)
	if err != nil {
		return err
	}
	if options.timeout <= 0 {
		return usage("--timeout %s: more than nothing is expected, e.g. 30s", options.timeout)
	}
	hub, source, err := certs.LoadProfile(options.profile, nil)
	if err != nil {
		return teller{cmd, say, options.profile}.explained(err)
	}
	verifier, err := receipt.NewVerifier(hub.LedgerKey)
	if err != nil {
		return fmt.Errorf("%s: %w", options.profile, err)
	}
	conn, err := grpc.NewClient(hub.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, hub.ServerName(), nil))))
	if err != nil {
		return fmt.Errorf("hub at %s: %w", hub.Address, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), options.timeout)
	defer cancel()
	a := &auditor{cmd: cmd, say: say, hub: hub, ledger: ledgerv1.NewLedgerServiceClient(conn), verifier: verifier}
	return errors.Join(do(ctx, a), conn.Close())
}

// latest fetches the hub's latest checkpoint and checks its signature.
func (a *auditor) latest(ctx context.Context) (signedCheckpoint, error) {
	return a.checked(a.ledger.GetCheckpoint(ctx, &ledgerv1.GetCheckpointRequest{}))
}

// checked checks the signature of what the hub gave as its latest checkpoint.
func (a *auditor) checked(resp *ledgerv1.GetCheckpointResponse, err error) (signedCheckpoint, error) {
	if err != nil {
		return signedCheckpoint{}, a.told(err)
	}
	said, err := a.verifier.Checkpoint(resp.GetCheckpoint())
	if err != nil {
		return signedCheckpoint{}, fmt.Errorf(a.say.of("điểm kiểm tra mà %s trả về không hợp lệ: %w", "what %s gave as its checkpoint does not hold: %w"), a.hub.Address, err)
	}
	return signedCheckpoint{said: said, signed: resp.GetCheckpoint()}, nil
}

// readCheckpoint reads a checkpoint from a file and checks its signature.
func readCheckpoint(cmd *cobra.Command, verifier *receipt.Verifier, file string) (signedCheckpoint, error) {
	signed, err := readFile(cmd, file)
	if err != nil {
		return signedCheckpoint{}, err
	}
	said, err := verifier.Checkpoint(signed)
	if err != nil {
		return signedCheckpoint{}, fmt.Errorf("%s: %w", file, err)
	}
	return signedCheckpoint{said: said, signed: signed}, nil
}

// keep writes a checkpoint to a file and says so.
func (a *auditor) keep(file string, c signedCheckpoint) error {
	if err := certs.WriteFile(file, c.signed, 0o644); err != nil {
		return err
	}
	return a.print(a.say.of("%s: sổ cái của %s có %d mục, theo %s", "%s: the ledger of %s has %d entries, under %s"),
		file, c.said.Origin(), c.said.Size, checkpointWords(a.say, c.said))
}

func (a *auditor) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.cmd.OutOrStdout(), format+"\n", args...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (a *auditor) consistency(ctx context.Context, options auditOptions) error {
	older, err := readCheckpoint(a.cmd, a.verifier, options.from)
	if err != nil {
		return err
	}
	newer, err := a.latest(ctx)
	if err != nil {
		return err
	}
	var proof [][]byte
	if older.said.Size < newer.said.Size {
		resp, err := a.ledger.GetConsistencyProof(ctx, &ledgerv1.GetConsistencyProofRequest{FromSize: older.said.Size, ToSize: newer.said.Size})
		if err != nil {
			return a.told(err)
		}
		proof = resp.GetProof()
	}
	if err := receipt.VerifyConsistency(older.said, newer.said, proof); err != nil {
		return a.fork(options, older, newer, err)
	}
	err = a.print(a.say.of("nhất quán: sổ cái %d mục của %s bắt đầu bằng nguyên vẹn %d mục của %s", "consistent: the %d entries of the ledger of %s begin with the %d of %s, unchanged"),
		newer.said.Size, newer.said.Origin(), older.said.Size, options.from)
	if err == nil {
		err = a.sayRestored(older.said, newer.said)
	}
	if err != nil || options.out == "" {
		return err
	}
	return a.keep(options.out, newer)
}

// fork keeps the checkpoint that contradicts an earlier one, and says so loudly.
func (a *auditor) fork(options auditOptions, older, newer signedCheckpoint, why error) error {
	if errors.Is(why, receipt.ErrRestored) {
		return a.restored(options, older, newer)
	}
	evidence, err := keepEvidence(options.from, newer.signed)
	if err != nil {
		why = errors.Join(why, err)
	}
	return fmt.Errorf(a.say.of(`SỔ CÁI BỊ RẼ NHÁNH: sổ cái mà %s đưa ra không tiếp nối sổ cái đã ký trong %s: %w
Trục đã thay đổi, làm mất hoặc chèn thêm gói tin đã tiếp nhận, hoặc chạy tiếp từ một bản sao cũ mà không khai báo.
Hãy giữ cả hai tệp, đều có chữ ký của trục, làm bằng chứng: %[2]s và %[4]s`,
		`FORK: the ledger that %s shows does not go on from the one signed in %s: %w
The hub has changed, lost or inserted accepted packets, or goes on from an old copy and does not say so.
Keep both files, which the hub has signed, as evidence: %[2]s and %[4]s`), a.hub.Address, options.from, why, evidence)
}

// told returns a refusal of the hub as a person reads it.
func (a *auditor) told(err error) error {
	if s := status.Convert(err); len(s.Details()) == 0 {
		if trouble, is := admin.TroubleOf(s.Message()); is {
			return a.say.troubled(a.hub.Address, trouble)
		}
	}
	if s := status.Convert(err); s.Code() == codes.Unavailable && len(s.Details()) == 0 {
		return fmt.Errorf(a.say.of("không kết nối được với trục liên thông tại %s: %s", "the hub at %s cannot be reached: %s"), a.hub.Address, s.Message())
	}
	refused := fault.From(err)
	return fmt.Errorf("%s: %s (%s)", a.hub.Address, a.say.of(refused.VI, refused.EN), refused.Reason)
}
