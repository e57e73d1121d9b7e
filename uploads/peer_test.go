package uploads_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"

	"sluice/uploads"
	"sluice/uploads/tustest"
)

// TestTusdDiffers shows that the suite finds what is wrong: tusd as it comes fails the cases listed here, and no other.
func TestTusdDiffers(t *testing.T) {
	t.Parallel()
	composer := handler.NewStoreComposer()
	filestore.New(t.TempDir()).UseIn(composer)
	memorylocker.New().UseIn(composer)
	h, err := handler.NewHandler(handler.Config{StoreComposer: composer, BasePath: "/files/", MaxSize: 2 << 20, Logger: uploads.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/files", h))
	t.Cleanup(server.Close)
	fails := map[string]bool{}
	for _, name := range tusdFails() {
		fails[name] = true
	}
	// tusd passes metadata through a map, so its order is a matter of luck.
	fickle := map[string]bool{"metadata keeps its order": true, "metadata comes back as sent": true}
	tustest.Run(t, server.URL+"/files/", tustest.Options{MaxSize: 2 << 20, Fails: fails, Fickle: fickle})
}

func tusdFails() []string {
	return []string{
		"GET of an unfinished upload is 409",
		"HEAD may be said by POST",
		"HEAD needs the protocol version",
		"HEAD of a NUL is no failure",
		"HEAD of a long id is no failure",
		"HEAD says when the upload expires",
		"OPTIONS lists exactly what is supported",
		"Upload-Concat is not empty",
		"Upload-Length has no sign",
		"Upload-Length stands once",
		"Upload-Offset has no sign",
		"Upload-Offset stands once",
		"a PATCH needs the protocol version",
		"a PATCH of a finished upload adds nothing",
		"a PATCH of another type is 415",
		"a PATCH of another version is refused",
		"a PATCH says when the upload expires",
		"a PATCH without a type is 415",
		"a PATCH's type compares without case",
		"a bad entity id is refused by name",
		"a bad flag is refused by name",
		"a creation needs the protocol version",
		"a creation of another version is refused",
		"a creation says when it expires",
		"a finished part says when it expires",
		"the last PATCH of a part says when it expires",
		"a declared length over the limit is refused",
		"a final upload has no length of its own",
		"a final upload of an ordinary one is refused",
		"a length over the limit is refused, with the limit",
		"a metadata key holds no space",
		"a metadata key is not empty",
		"a metadata key stands once",
		"a metadata value is base64",
		"a metadata value is padded",
		"a metadata value may be absent",
		"an unknown kind is refused by name",
		"an unknown storage is refused by name",
		"bad base64 is refused by name",
		"binary metadata comes back byte for byte",
		"joining again answers the same upload",
		"metadata has a bound",
		"the same length may be declared again",
	}
}
