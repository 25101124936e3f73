package main

import (
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// What to do about findings.
const (
	restoreVI = "hãy phục hồi thư mục dữ liệu từ bản sao lưu"
	restoreEN = "restore the data directory from a backup"
	reindexVI = "hãy xoá thư mục store/index rồi khởi động: chỉ mục được dựng lại từ nhật ký"
	reindexEN = "remove the directory store/index and start the hub: the index is made again from the journal"
	nothingVI = "không cần làm gì"
	nothingEN = "nothing to do"
)

// explain says what a rule is about, and what to do.
func explain(rule pebblestore.Rule) (vi, en string) {
	switch rule {
	case pebblestore.RuleDamaged:
		return "một phần nhật ký bị hỏng hoặc thiếu; " + restoreVI, "a part of the journal is damaged or missing; " + restoreEN
	case pebblestore.RuleUnfinished:
		return "phần ghi dở khi trục dừng đột ngột; lần khởi động sau sẽ dọn; " + nothingVI, "left by a sudden end of the hub; the next start clears it away; " + nothingEN
	case pebblestore.RuleFrame:
		return "một phần nhật ký nguyên vẹn nhưng không đọc được; " + restoreVI, "a part of the journal is whole but cannot be understood; " + restoreEN
	case pebblestore.RuleSequence:
		return "số thứ tự không liên tục; " + restoreVI, "sequences do not follow each other; " + restoreEN
	case pebblestore.RuleChanged:
		return "dữ liệu lưu trữ đã bị thay đổi; " + restoreVI, "what is stored has changed; " + restoreEN
	case pebblestore.RuleID:
		return "một mã dùng cho hai gói tin; hãy báo lỗi này", "an id stands for two packets; report this"
	case pebblestore.RuleDelivery:
		return "một lượt giao đã kết thúc mà không hề có; hãy báo lỗi này", "a delivery was done with that was not there; report this"
	case pebblestore.RuleIndexAhead:
		return "nhật ký kết thúc trước chỉ mục: thiếu tệp nhật ký; " + restoreVI, "the journal ends before the index: journal files are missing; " + restoreEN
	case pebblestore.RuleIndexDiffers:
		return "chỉ mục không khớp với nhật ký; " + reindexVI, "the index is another than the journal makes; " + reindexEN
	case pebblestore.RuleIndexMissing:
		return "không có chỉ mục dùng được; lần khởi động sau sẽ dựng từ nhật ký; " + nothingVI, "there is no index that can be used; the next start makes it from the journal; " + nothingEN
	case pebblestore.RuleNotCompared:
		return "chưa so sánh được do các lỗi khác", "not compared, because of what else was found"
	}
	return explainContent(rule)
}

func explainContent(rule pebblestore.Rule) (vi, en string) {
	switch rule {
	case hub.RuleContent:
		return "nội dung, xác nhận và bản ghi không khớp nhau; " + restoreVI, "content, statement and record do not agree; " + restoreEN
	case hub.RuleSignature:
		return "chữ ký của nhóm gói tin không đúng; " + restoreVI, "the signature of a group of packets does not hold; " + restoreEN
	case hub.RuleLarge:
		return "nội dung của một gói tin lớn bị thiếu hoặc đã thay đổi; hãy phục hồi thư mục blobs từ bản sao lưu", "the content of a large packet is missing or has changed; restore the directory blobs from a backup"
	case hub.RuleKey:
		return "khoá sổ cái thiếu hoặc không khớp; hãy phục hồi ledger.key từ bản sao lưu", "the ledger key is missing or another; restore ledger.key from a backup"
	case hub.RuleCheckpoint:
		return "không đọc được điểm kiểm tra cuối của sổ cái; hãy phục hồi ledger/checkpoint từ bản sao lưu", "the ledger's last checkpoint cannot be read; restore ledger/checkpoint from a backup"
	case hub.RuleHashes:
		return "các giá trị băm của sổ cái không khớp; hãy xoá các tệp ledger/hashes-* rồi khởi động: chúng được dựng lại", "the hashes of the ledger are not right; remove the files ledger/hashes-* and start the hub: they are made again"
	case hub.RuleLedger:
		return "thiếu thư mục của sổ cái; hãy phục hồi ledger từ bản sao lưu: các giá trị băm dựng lại được, các điểm kiểm tra đã ký thì không",
			"the directory of the ledger is missing; restore ledger from a backup: hashes are made again, the checkpoints that were signed are not"
	case hub.RuleUnsigned:
		return "sổ cái chưa có điểm kiểm tra nào; bình thường nếu trục dừng trước lần ký đầu tiên, nếu không hãy phục hồi ledger từ bản sao lưu",
			"the ledger has no checkpoint; that is so when the hub ended before it signed the first, else restore ledger from a backup"
	case hub.RuleAuthority:
		return "cơ quan cấp chứng thư thiếu hoặc không dùng được; hãy phục hồi ca từ bản sao lưu: cơ quan mới sẽ không được hệ thống nào tin",
			"the certificate authority is missing or cannot be used; restore ca from a backup: no node would trust a new one"
	case hub.RuleDiverged:
		return "những gì đã tiếp nhận không khớp với điểm kiểm tra đã ký; " + restoreVI, "what was accepted is not what the last checkpoint says; " + restoreEN
	}
	return string(rule), string(rule)
}
