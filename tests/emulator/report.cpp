#include "report.h"

#include "environment.h"

#include <cmath>
#include <cstdio>

static const char *const STALL_NAMES[STALLS] = {
    "issue", "vmcnt",     "lgkmcnt",    "barrier", "mfma-pipe", "mfma-result", "valu-pipe",
    "port",  "lds-queue", "vmem-queue", "branch",  "ifetch",    "nop",         "start",
};

// Figures that follow from a result.
struct Figures {
  double l2_bytes, hbm_bytes, l2, hbm; // the last two: busy, from 0 to 1
  double rounds;                       // blocks by those that fit at the same time
  std::string bound;
};

// The busiest resource if it is busy for most of the time, else the largest stall.
static std::string bound_of(const TimeResult &result, double l2, double hbm) {
  const double MOST_OF_THE_TIME = 0.6;
  const struct {
    const char *name;
    double busy;
  } resources[] = {{"MFMA", result.mfma},
                   {"VALU", result.valu},
                   {"LDS", result.lds},
                   {"L1", result.l1},
                   {"L2", l2},
                   {"HBM", hbm}};
  const auto *busiest = resources;
  for (const auto &each : resources)
    if (each.busy > busiest->busy)
      busiest = &each;
  if (busiest->busy > MOST_OF_THE_TIME)
    return busiest->name;
  int largest = STALL_VMCNT;
  for (int i = STALL_VMCNT; i < STALLS; ++i)
    if (result.stall[i] > result.stall[largest])
      largest = i;
  return std::string(result.cu_busy < 0.5 ? "few blocks, " : "latency, ") + STALL_NAMES[largest];
}

static Figures figures_of(const TimeResult &result) {
  Figures figures;
  figures.l2_bytes = (result.l2_requests + result.l2_writes) * 64;
  figures.hbm_bytes = (result.hbm_reads + result.hbm_writes) * 64;
  figures.l2 = figures.l2_bytes / result.cycles / (parameters.l2_channels * parameters.l2_bytes);
  figures.hbm =
      figures.hbm_bytes / (result.us * 1e3) / (parameters.hbm_gbs * parameters.hbm_efficiency);
  figures.rounds = result.groups / (std::max(1u, result.groups_per_cu) * parameters.cus);
  figures.bound = bound_of(result, figures.l2, figures.hbm);
  return figures;
}

// `_Z6kernelPf` -> `kernel`.
static std::string short_name(const std::string &symbol) {
  const size_t first = symbol.rfind("_ZL", 0) == 0 ? 3 : symbol.rfind("_Z", 0) == 0 ? 2 : 0;
  const size_t digits = symbol.find_first_not_of("0123456789", first);
  if (first == 0 || digits == first || digits == std::string::npos)
    return symbol;
  return symbol.substr(digits, (size_t)atoi(symbol.c_str() + first));
}

static double percent(double part, double whole) {
  return whole != 0 ? 100 * part / whole : 0;
}

static void print(const std::string &name, const Launch &launch, const TimeResult &result,
                  const Figures &figures) {
  std::string stalls;
  for (int i = 0; i < STALLS; ++i)
    if (result.stall[i] > 0.005 * result.wave_cycles)
      stalls += format(" %s %.0f %%", STALL_NAMES[i], percent(result.stall[i], result.wave_cycles));
  fprintf(stderr, "time: %s: %llu blocks of %u threads: %.1f us; bound: %s\n", name.c_str(),
          (unsigned long long)result.groups, launch.block[0] * launch.block[1] * launch.block[2],
          result.us, figures.bound.c_str());
  fprintf(stderr,
          "time:   busy: MFMA %.1f %%, VALU %.1f %%, LDS %.1f %% (%.1f %% of it conflicts), L1 "
          "%.1f %%, L2 %.1f %%, HBM %.1f %%\n",
          100 * result.mfma, 100 * result.valu, 100 * result.lds,
          percent(result.lds_conflicts, result.lds_cycles), 100 * result.l1, 100 * figures.l2,
          100 * figures.hbm);
  fprintf(stderr,
          "time:   memory: L1 %.1f MB, hits %.1f %%; L2 %.1f MB, hits %.1f %%; written %.1f MB; "
          "HBM %.1f MB read, %.1f MB written, %.0f GB/s\n",
          result.l1_requests * 64e-6, percent(result.l1_hits, result.l1_requests),
          result.l2_requests * 64e-6, percent(result.l2_hits, result.l2_requests),
          result.l2_writes * 64e-6, result.hbm_reads * 64e-6, result.hbm_writes * 64e-6,
          figures.hbm_bytes / result.us * 1e-3);
  fprintf(stderr,
          "time:   %.2f waves per SIMD, %u blocks per CU, %.2f rounds, CUs with work %.1f %%; %llu "
          "instructions, %llu MFMA\n",
          result.waves_per_simd, result.groups_per_cu, figures.rounds, 100 * result.cu_busy,
          (unsigned long long)result.instructions, (unsigned long long)result.mfmas);
  fprintf(stderr, "time:   cycles of waves:%s\n", stalls.c_str());
}

// NAME=VALUE, separated by tabs.
static void write_line(FILE *file, const std::string &name, const TimeResult &result,
                       const Figures &figures) {
  fprintf(file,
          "kernel=%s\tus=%.3f\tbound=%s\tmfma=%.4f\tvalu=%.4f\tlds=%.4f\tconflicts=%.4f\tl1=%.4f\t"
          "l2=%.4f\thbm=%.4f\tgbs=%.1f\twaves=%.3f\trounds=%.3f\tcus=%.4f\tlaunch_us=%g\t"
          "instructions=%llu\n",
          name.c_str(), result.us, figures.bound.c_str(), result.mfma, result.valu, result.lds,
          percent(result.lds_conflicts, result.lds_cycles) / 100, result.l1, figures.l2,
          figures.hbm, figures.hbm_bytes / result.us * 1e-3, result.waves_per_simd, figures.rounds,
          result.cu_busy, parameters.launch_us, (unsigned long long)result.instructions);
}

// ---- the table at the end ----

struct Total {
  std::string name, bound;
  u64 launches = 0;
  double us = 0, mfma = 0, cus = 0;
};

// Its destructor runs when the program ends.
struct Table {
  std::vector<Total> totals;
  ~Table();
};

Table::~Table() {
  if (totals.empty() || environment().time_file)
    return;
  double us = 0;
  u64 launches = 0;
  fprintf(stderr, "time: %-40s %8s %12s %12s %7s %7s  %s\n", "kernel", "launches", "us in all",
          "us each", "MFMA %", "CUs %", "bound of the last");
  for (const Total &each : totals) {
    us += each.us;
    launches += each.launches;
    fprintf(stderr, "time: %-40.40s %8llu %12.1f %12.1f %7.1f %7.1f  %s\n", each.name.c_str(),
            (unsigned long long)each.launches, each.us, each.us / each.launches,
            percent(each.mfma, each.us), percent(each.cus, each.us), each.bound.c_str());
  }
  fprintf(stderr, "time: %.1f us, and %llu launches of %.1f us: %.1f us\n", us,
          (unsigned long long)launches, parameters.launch_us, us + launches * parameters.launch_us);
}

static Table table;

static void add_to_table(const std::string &name, const TimeResult &result,
                         const std::string &bound) {
  auto found = std::find_if(table.totals.begin(), table.totals.end(),
                            [&](const Total &each) { return each.name == name; });
  if (found == table.totals.end())
    found = table.totals.insert(found, {name, "", 0, 0, 0, 0});
  found->bound = bound;
  found->launches++;
  found->us += result.us;
  found->mfma += result.mfma * result.us;
  found->cus += result.cu_busy * result.us;
}

void report_time(const std::string &symbol, const Launch &launch, const TimeResult &result) {
  if (launch.stopped)
    return;
  const Environment &wanted = environment();
  const Figures figures = figures_of(result);
  const std::string name = short_name(symbol);
  if (wanted.verbose)
    print(name, launch, result, figures);
  add_to_table(name, result, figures.bound);
  if (!wanted.time_file)
    return;
  FILE *file = fopen(wanted.time_file, "a");
  if (!file)
    give_up(format("%s: cannot write the file", wanted.time_file));
  write_line(file, name, result, figures);
  fclose(file);
}
