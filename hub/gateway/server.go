package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// The slowest a caller may be.
const (
	headerWithin   = 10 * time.Second
	bodyLeastSpeed = 32 << 10 // bytes a second
	answerWithin   = 60 * time.Second
	idleWithin     = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// NewServer returns a server for the edge whose timeouts no caller can outwait:
// a body of maxBodyBytes (0: the default of Config) is given time for 32 KiB a
// second. The caller sets TLS and shuts it down; Shutdown waits for the calls
// that are being answered.
func NewServer(handler http.Handler, maxBodyBytes int64, logger *slog.Logger) *http.Server {
	if maxBodyBytes <= 0 {
		maxBodyBytes = defaultMaxBodyBytes
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	read := headerWithin + 20*time.Second + time.Duration(maxBodyBytes/bodyLeastSpeed)*time.Second
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       read,
		WriteTimeout:      read + callWithin + answerWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
