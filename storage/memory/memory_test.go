package memory_test

import (
	"testing"

	"sluice/storage"
	"sluice/storage/memory"
	"sluice/storage/storagetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(testing.TB) storagetest.Place {
		return storagetest.Place{
			Driver: memory.New(),
			Within: func(_ testing.TB, room int64) storage.Driver { return memory.NewLimited(room) },
		}
	})
}
