package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/hub"
)

func restoreCommand() *cobra.Command {
	var data, lang string
	cmd := &cobra.Command{
		Use:   "restore --data DIR",
		Short: "Declare that a data directory is a copy, before a hub goes on from it",
		Long: `Marks the data directory of a hub that is not running as a copy that is behind the
original: a snapshot of a virtual machine, an image of a disk, files copied while the hub
was stopped. The hub that is started on it next goes on with sequences that nobody has
given, and with a ledger of another name. Without that it would give sequences again that
the original gave after the copy was made: recipients take what comes under them for what
they have had already, and two signed receipts name one sequence.

Give it whenever the original may have accepted anything after the copy was made. A backup
made by "lienthong backup" needs no declaration, as it says itself what it is; to declare
it all the same does no harm. Nothing else is changed, and nothing is lost by declaring a
copy that is not behind: sequences jump, that is all.

Rights, revocations, suspensions and quotas are those of the copy: a node that was revoked
since is let in again. Look them over before the hub is opened to nodes (the start says in
the log, as a warning, which nodes are active): start it at an address that only
administrators reach, lienthong hub --data DIR --grpc 127.0.0.1:8443, and see lienthong
admin node list. Join tokens that were issued before are void, as nobody knows whether they
were used: issue new ones.

The start says in the log after which sequence packets may be lost. Senders who hold
receipts for them submit them again with the same id.

Exit codes: 0 it is declared; 1 it is not, as while a hub runs there; 2 the command line is
wrong.

Tiếng Việt: đánh dấu thư mục dữ liệu của trục đã dừng là một bản sao cũ (ảnh chụp máy ảo,
ảnh đĩa, tệp chép tay), để lần khởi động sau dùng số thứ tự mới và tên sổ cái mới. Bản sao
lưu do "lienthong backup" tạo ra không cần khai báo. Quyền, thu hồi, đình chỉ và hạn mức là của
bản sao: phải rà soát lại trước khi mở trục cho các hệ thống kết nối; mã đăng ký cấp trước đó
không còn giá trị.`,
		Example: "  lienthong restore --data /var/lib/lienthong",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usage("--data DIR is required: the copy that a hub is to go on from")
			}
			say, err := speechOf(lang)
			if err != nil {
				return err
			}
			return declareRestored(cmd, data, say)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "the data directory that is a copy")
	langFlag(cmd, &lang, "language of what is printed")
	return cmd
}

func declareRestored(cmd *cobra.Command, data string, say speech) error {
	err := hub.DeclareRestored(data, time.Now)
	switch {
	case errors.Is(err, hub.ErrInUse):
		return fmt.Errorf(say.of("trục liên thông đang chạy trên %s; hãy dừng trước", "a hub runs on %s; stop it first"), data)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf(say.of("%s không phải thư mục dữ liệu của trục liên thông: %w", "%s is no data directory of a hub: %w"), data, err)
	case err != nil:
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), say.of(
		"%s: đã khai báo là bản sao; trục khởi động trên đó sẽ tiếp tục với số thứ tự mới\n",
		"%s: declared as a copy; the hub that is started on it goes on with new sequences\n"), data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
