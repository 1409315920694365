#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char OPTIONS_HELP[] =
    "usage: getp CHECKPOINT -m getp -i PROMPTS -o IDS [--resume] [-n TOKENS] [-b SLOTS]\n"
    "       getp CHECKPOINT [-m generate] -i TEXT | -f FILE\n"
    "       getp CHECKPOINT -m chat [-i TEXT | -f FILE] [-y TEXT] [--effort LEVEL] [--tools FILE]\n"
    "       getp CHECKPOINT -m logits -i IDS -o FLOATS [--reference]\n"
    "       getp decode CHECKPOINT -i IDS\n"
    "       getp pack CHECKPOINT -o FILE\n"
    "       getp info CHECKPOINT\n"
    "       getp FILE --verify\n"
    "       getp --plan\n"
    "\n"
    "CHECKPOINT is of the model that this getp was generated for: a folder of Hugging Face or the\n"
    "folder original/ of OpenAI, with config.json, safetensors and tokenizer.json; a .bin of the\n"
    "contest's exporter; or a FILE that `getp pack` made of one of them, which loads faster. info\n"
    "takes a checkpoint of any model and prints what it is and which getp runs it.\n"
    "\n"
    "  -m, --mode MODE         generate (default), chat, getp or logits\n"
    "  -i, --input IN          generate: the text to continue; chat: the first message; getp: a\n"
    "                          file with the number of prompts, then one prompt per line; logits,\n"
    "                          decode: a file with one sequence of ids per line\n"
    "  -f, --file FILE         generate, chat: a file with the text, instead of -i; its last "
    "newline\n"
    "                          does not count\n"
    "  -o, --output FILE       getp: one line of ids per prompt; logits: vocab_size float32 per\n"
    "                          position of each sequence; pack: weights, stop ids and tokenizer\n"
    "  -n, --steps N           tokens of a prompt and its output together (1024; 0: the context)\n"
    "  -t, --temperature T     0: pick the most probable token (0)\n"
    "  -p, --top-p P           draw from the most probable tokens that hold P; 0 or 1: all (0.9)\n"
    "      --top-k K           draw from the K most probable tokens; 0: all (0)\n"
    "      --min-p P           draw from tokens with P times the greatest probability (0)\n"
    "  -s, --seed S            seed of the random draws (0: any, and stderr says which)\n"
    "      --resume            getp: go on with the job whose journal, IDS.part, a run has left\n"
    "  -z, --tokenizer FILE    tokenizer.json, a folder or a packed file (CHECKPOINT)\n"
    "      --special           getp, generate: the text of a special token is that token; without\n"
    "                          it, only in a conversation that ends in an open <|start|>assistant\n"
    "  -y, --system TEXT       chat: instructions, which go into the developer message\n"
    "      --effort LEVEL      chat: reasoning effort: low, medium or high (medium)\n"
    "      --date DATE         chat: the current date as YYYY-MM-DD (today)\n"
    "      --tools FILE        chat: a JSON list of the functions that the model may call\n"
    "      --reasoning WHAT    chat: show, hide, or only: the reasoning, on stderr (show)\n"
    "  -b, --slots N           sequences that run at the same time (all slots)\n"
    "      --chunk N           rows of one prompt in a pass (all)\n"
    "      --reference         logits: use the plain C forward pass, not the generated one\n"
    "      --profile           print the device's time by the roles of the schedule\n"
    "      --trace FILE        write the time of every step, and of the host, for Perfetto\n"
    "      --verify            compare a FILE of `getp pack` with its checksum first, or only "
    "that\n"
    "      --plan              print how much memory this getp needs\n"
    "  -h, --help              print this text\n"
    "\n"
    "Chat sends the system message of the harmony format: the date, the effort, the channels. Then "
    "it\n"
    "reads messages from standard input; a line is one, and empty lines do not count. There are "
    "three\n"
    "ways to give a message of several lines: end a line with \\ to go on on the next one; paste "
    "the\n"
    "lines into the terminal; or pipe them, as lines that arrive together are one message. `/new`\n"
    "begins a new conversation. Answers go to stdout, all else to stderr. If the model calls a "
    "function\n"
    "of --tools, stderr gets the line `call functions.NAME ARGUMENTS`, and the next message is "
    "the\n"
    "result. Ctrl-C stops a reply; between replies it ends chat, as Ctrl-D does.\n"
    "\n"
    "GETP_PARITY=N in the environment compares the logits of the first request's first N\n"
    "positions with those of the plain C forward pass, and fails if they differ.\n";

// Numbers of the flags without a letter, above all letters.
enum {
  FLAG_CHUNK = 256,
  FLAG_TOP_K,
  FLAG_MIN_P,
  FLAG_RESUME,
  FLAG_SPECIAL,
  FLAG_EFFORT,
  FLAG_DATE,
  FLAG_TOOLS,
  FLAG_REASONING,
  FLAG_REFERENCE,
  FLAG_PROFILE,
  FLAG_TRACE,
  FLAG_VERIFY,
  FLAG_PLAN,
  FLAG_HELP
};

static const struct option LONG_OPTIONS[] = {
    {"mode", required_argument, NULL, 'm'},
    {"input", required_argument, NULL, 'i'},
    {"output", required_argument, NULL, 'o'},
    {"steps", required_argument, NULL, 'n'},
    {"top-p", required_argument, NULL, 'p'},
    {"temperature", required_argument, NULL, 't'},
    {"seed", required_argument, NULL, 's'},
    {"tokenizer", required_argument, NULL, 'z'},
    {"file", required_argument, NULL, 'f'},
    {"top-k", required_argument, NULL, FLAG_TOP_K},
    {"min-p", required_argument, NULL, FLAG_MIN_P},
    {"resume", no_argument, NULL, FLAG_RESUME},
    {"special", no_argument, NULL, FLAG_SPECIAL},
    {"system", required_argument, NULL, 'y'},
    {"effort", required_argument, NULL, FLAG_EFFORT},
    {"date", required_argument, NULL, FLAG_DATE},
    {"tools", required_argument, NULL, FLAG_TOOLS},
    {"reasoning", required_argument, NULL, FLAG_REASONING},
    {"slots", required_argument, NULL, 'b'},
    {"chunk", required_argument, NULL, FLAG_CHUNK},
    {"reference", no_argument, NULL, FLAG_REFERENCE},
    {"profile", no_argument, NULL, FLAG_PROFILE},
    {"trace", required_argument, NULL, FLAG_TRACE},
    {"verify", no_argument, NULL, FLAG_VERIFY},
    {"plan", no_argument, NULL, FLAG_PLAN},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_integer(int *out, const char *flag, const char *text, int lowest,
                          struct error *err) {
  char *end;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (end == text || *end || errno || value < lowest || value > INT_MAX)
    return fail(err, "%s: want an integer from %d to %d, found \"%s\"", flag, lowest, INT_MAX,
                text);
  *out = (int)value;
  return true;
}

static bool parse_float(float *out, const char *flag, const char *text, float highest,
                        struct error *err) {
  char *end;
  const float value = strtof(text, &end);
  if (end == text || *end || !(value >= 0 && value <= highest))
    return fail(err, "%s: want a number from 0 to %g, found \"%s\"", flag, (double)highest, text);
  *out = value;
  return true;
}

static bool parse_seed(uint64_t *out, const char *text, struct error *err) {
  char *end;
  errno = 0;
  *out = strtoull(text, &end, 10);
  return isdigit((unsigned char)*text) && !*end && !errno
             ? true
             : fail(err, "-s: want an integer from 0 to 2^64 - 1, found \"%s\"", text);
}

// The number of a text in a list of n texts, or -1.
static int find_text(const char *text, const char *const *list, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(text, list[i]) == 0)
      return i;
  return -1;
}

static bool parse_mode(enum mode *out, const char *text, struct error *err) {
  static const char *const NAMES[] = {[MODE_GENERATE] = "generate",
                                      [MODE_CHAT] = "chat",
                                      [MODE_PROMPTS] = "getp",
                                      [MODE_LOGITS] = "logits"};
  const int mode = find_text(text, NAMES, sizeof NAMES / sizeof *NAMES);
  *out = (enum mode)mode;
  return mode >= 0 ? true
                   : fail(err, "-m: want generate, chat, getp or logits, found \"%s\"", text);
}

static bool parse_reasoning(enum reasoning *out, const char *text, struct error *err) {
  static const char *const NAMES[] = {
      [REASONING_SHOW] = "show", [REASONING_HIDE] = "hide", [REASONING_ONLY] = "only"};
  const int reasoning = find_text(text, NAMES, sizeof NAMES / sizeof *NAMES);
  *out = (enum reasoning)reasoning;
  return reasoning >= 0 ? true
                        : fail(err, "--reasoning: want show, hide or only, found \"%s\"", text);
}

static bool parse_effort(const char **out, const char *text, struct error *err) {
  static const char *const NAMES[] = {"low", "medium", "high"};
  *out = text;
  return find_text(text, NAMES, sizeof NAMES / sizeof *NAMES) >= 0
             ? true
             : fail(err, "--effort: want low, medium or high, found \"%s\"", text);
}

// Accepts the days of the Gregorian calendar.
static bool parse_date(const char **out, const char *text, struct error *err) {
  static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  static const char SHAPE[] = "dddd-dd-dd";
  int year = 0, month = 0, day = 0;
  bool shaped = strlen(text) == sizeof SHAPE - 1;
  for (size_t i = 0; shaped && SHAPE[i]; i++)
    shaped = SHAPE[i] == 'd' ? isdigit((unsigned char)text[i]) != 0 : text[i] == SHAPE[i];
  shaped = shaped && sscanf(text, "%4d-%2d-%2d", &year, &month, &day) == 3;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  const bool real = shaped && month >= 1 && month <= 12 && day >= 1 &&
                    day <= DAYS[month - 1] + (month == 2 && leap);
  *out = text;
  return real ? true : fail(err, "--date: want a date as YYYY-MM-DD, found \"%s\"", text);
}

// Parses a flag that only chat reads.
static bool parse_chat_flag(struct options *o, int flag, const char *text, struct error *err) {
  switch (flag) {
  case FLAG_EFFORT:
    o->chat_flag = "--effort";
    return parse_effort(&o->effort, text, err);
  case FLAG_DATE:
    o->chat_flag = "--date";
    return parse_date(&o->date, text, err);
  case FLAG_REASONING:
    o->chat_flag = "--reasoning";
    return parse_reasoning(&o->reasoning, text, err);
  case FLAG_TOOLS:
    o->chat_flag = "--tools";
    o->tools = text;
    return true;
  default:
    o->chat_flag = "-y";
    o->instructions = text;
    return true;
  }
}

static bool parse_flag(struct options *o, int flag, const char *text, struct error *err) {
  switch (flag) {
  case 'm':
    return parse_mode(&o->mode, text, err);
  case 'i':
    o->input = text;
    return true;
  case 'o':
    o->output = text;
    return true;
  case 'z':
    o->tokenizer = text;
    return true;
  case 'f':
    o->file = text;
    return true;
  case 'n':
    o->max_tokens_given = true;
    return parse_integer(&o->max_tokens, "-n", text, INT_MIN, err);
  case 'b':
    return parse_integer(&o->slots, "-b", text, 1, err);
  case FLAG_CHUNK:
    return parse_integer(&o->chunk, "--chunk", text, 1, err);
  case 't':
    return parse_float(&o->temperature, "-t", text, 1000.0f, err);
  case 'p':
    return parse_float(&o->top_p, "-p", text, 1.0f, err);
  case FLAG_TOP_K:
    return parse_integer(&o->top_k, "--top-k", text, 0, err);
  case FLAG_MIN_P:
    return parse_float(&o->min_p, "--min-p", text, 1.0f, err);
  case 's':
    return parse_seed(&o->seed, text, err);
  case FLAG_RESUME:
    return o->resume = true;
  case FLAG_SPECIAL:
    return o->special = true;
  case 'y':
  case FLAG_EFFORT:
  case FLAG_DATE:
  case FLAG_TOOLS:
  case FLAG_REASONING:
    return parse_chat_flag(o, flag, text, err);
  case FLAG_REFERENCE:
    return o->reference = true;
  case FLAG_PROFILE:
    return o->profile = true;
  case FLAG_TRACE:
    o->trace = text;
    return true;
  case FLAG_VERIFY:
    return o->verify = true;
  case FLAG_PLAN:
    return o->plan = true;
  default:
    return o->help = true;
  }
}

// The value of a flag that the mode needs must be there and not be empty.
static bool require(const char *where, const char *value, const char *want, struct error *err) {
  return value && *value
             ? true
             : fail(err, "%s: want %s, found %s: see --help", where, want, value ? "\"\"" : "none");
}

// The flags of a text: -i or -f gives one, and some flags are only for chat.
static bool check_texts(const struct options *o, struct error *err) {
  const bool reads_file = o->mode == MODE_GENERATE || o->mode == MODE_CHAT;
  const bool needs_input = o->mode <= MODE_DECODE && o->mode != MODE_CHAT && !o->file;
  if (o->chat_flag && o->mode != MODE_CHAT)
    return fail(err, "%s: want -m chat, found another mode: see --help", o->chat_flag);
  if (o->special && o->mode != MODE_GENERATE && o->mode != MODE_PROMPTS)
    return fail(err, "--special: want -m generate or getp, found another mode: see --help");
  if (o->resume && o->mode != MODE_PROMPTS)
    return fail(err, "--resume: want -m getp, found another mode: see --help");
  if (o->file && !reads_file)
    return fail(err, "-f: want -m generate or chat, found another mode: see --help");
  if (o->file && o->input)
    return fail(err, "-f: want -i or -f, found both: see --help");
  if (o->file && !require("-f", o->file, "the name of a file", err))
    return false;
  if (o->tools && !require("--tools", o->tools, "the name of a file", err))
    return false;
  return !(needs_input || o->input) || require("-i", o->input, "a text or the name of a file", err);
}

// What makes a run have no steps, or NULL.
static const char *no_steps(const struct options *o) {
  if (o->mode == MODE_VERIFY)
    return "--verify alone";
  if (o->mode == MODE_INFO)
    return "info";
  return o->mode == MODE_DECODE ? "decode" : o->reference ? "--reference" : NULL;
}

static bool check(const struct options *o, struct error *err) {
  const bool writes = o->mode == MODE_PROMPTS || o->mode == MODE_LOGITS || o->mode == MODE_PACK;
  if (o->plan)
    return true;
  if (o->mode != MODE_DECODE &&
      !require("CHECKPOINT", o->checkpoint, "a folder or a packed file", err))
    return false;
  if (o->mode == MODE_DECODE && !(o->tokenizer && *o->tokenizer) &&
      !require("CHECKPOINT", o->checkpoint, "a tokenizer.json, a folder or a packed file", err))
    return false;
  if (!check_texts(o, err))
    return false;
  if ((writes || o->output) && !require("-o", o->output, "the name of a file", err))
    return false;
  if (o->trace && !require("--trace", o->trace, "the name of a file", err))
    return false;
  if (o->verify && (o->mode == MODE_DECODE || o->mode == MODE_PACK || o->mode == MODE_INFO))
    return fail(err, "--verify: want a mode that runs a packed file, found %s: see --help",
                o->mode == MODE_PACK   ? "pack"
                : o->mode == MODE_INFO ? "info"
                                       : "decode");
  if (o->reference && o->mode != MODE_LOGITS)
    return fail(err, "--reference: want -m logits, found another mode: see --help");
  if ((o->profile || o->trace) && no_steps(o))
    return fail(err, "%s: want a mode that runs steps, found %s: see --help",
                o->profile ? "--profile" : "--trace", no_steps(o));
  return true;
}

static bool parse_operand(struct options *o, const char *text, struct error *err) {
  if (o->checkpoint)
    return fail(err, "CHECKPOINT: want one, found \"%s\" and \"%s\": see --help", o->checkpoint,
                text);
  if (strcmp(text, "decode") == 0 && o->mode != MODE_DECODE)
    o->mode = MODE_DECODE;
  else if (strcmp(text, "info") == 0 && o->mode != MODE_INFO)
    o->mode = MODE_INFO;
  else if (strcmp(text, "pack") == 0 && o->mode != MODE_PACK)
    o->mode = MODE_PACK;
  else
    o->checkpoint = text;
  return true;
}

// getopt leaves an unknown letter in optopt. An unknown long flag is the argument before optind.
static bool refuse_flag(char **argv, struct error *err) {
  return optopt != 0 && optopt < FLAG_CHUNK
             ? fail(err, "-%c: unknown flag: see --help", optopt)
             : fail(err, "%s: unknown flag: see --help", argv[optind - 1]);
}

bool options_parse(struct options *options, int argc, char **argv, struct error *err) {
  *options = (struct options){.top_p = 0.9f, .max_tokens = 1024, .effort = "medium"};
  opterr = 0;
  for (int flag;
       (flag = getopt_long(argc, argv, ":m:i:f:o:n:t:p:s:z:y:b:h", LONG_OPTIONS, NULL)) >= 0;) {
    if (flag == ':')
      return fail(err, "%s: want a value, found none: see --help", argv[optind - 1]);
    if (flag == '?')
      return refuse_flag(argv, err);
    if (!parse_flag(options, flag, optarg, err))
      return false;
    if (options->help)
      return true;
  }
  for (; optind < argc; optind++)
    if (!parse_operand(options, argv[optind], err))
      return false;
  if (options->verify && options->mode == MODE_GENERATE && !options->input && !options->file)
    options->mode = MODE_VERIFY;
  return check(options, err);
}
