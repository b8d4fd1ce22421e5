import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          // Quick ones, on a machine that may be busy with a lab.
          testTimeout: 30_000,
          include: [
            "packages/*/src/**/*.test.ts",
            "tests/lab/**/*.test.ts",
            "tests/contract/**/*.test.ts",
            "tests/docs/**/*.test.ts",
          ],
        },
      },
      {
        test: {
          name: "integration",
          include: ["tests/integration/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["tests/e2e/**/*.test.ts"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          bail: 0,
        },
      },
    ],
  },
});
