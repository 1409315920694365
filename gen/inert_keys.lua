-- The keys of a config.json that do not change the logits of a gpt-oss model, each by name: gen/config.lua ignores
-- them. Any other key that it does not read is refused, since it could change the arithmetic.

-- where the keys come from -> the keys
local FROM <const> = {
  ["transformers: how a model is trained"] = [[
    attention_dropout initializer_range output_router_logits router_aux_loss_coef tf_legacy_loss]],
  ["transformers: what a forward pass returns, and how it is computed"] = [[
    _attn_implementation _attn_implementation_autoset _attn_implementation_internal _experts_implementation
    attn_implementation experts_implementation chunk_size_feed_forward output_attentions output_hidden_states
    pruned_heads return_dict torchscript use_bfloat16 use_cache use_kernels use_return_dict]],
  ["transformers: where the file comes from"] = [[
    _commit_hash _name_or_path finetuning_task name_or_path prefix task_specific_params tokenizer_class
    transformers_version]],
  ["transformers: tokens, which generation_config.json and the tokenizer decide"] = [[
    bos_token_id decoder_start_token_id eos_token_id pad_token_id sep_token_id]],
  ["transformers: tasks and other families"] = [[
    add_cross_attention cross_attention_hidden_size id2label is_decoder is_encoder_decoder label2id num_labels
    problem_type tie_encoder_decoder]],
  ["transformers: a cache of the rotary embedding"] = [[max_seq_len_cached]],
  ["transformers before 4.50: generation"] = [[
    assistant_confidence_threshold assistant_lookbehind bad_words_ids begin_suppress_tokens diversity_penalty do_sample
    early_stopping encoder_no_repeat_ngram_size encoder_repetition_penalty epsilon_cutoff eta_cutoff
    exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length max_new_tokens
    min_length no_repeat_ngram_size num_assistant_tokens num_assistant_tokens_schedule num_beam_groups num_beams
    num_return_sequences output_scores remove_invalid_values repetition_penalty return_dict_in_generate suppress_tokens
    target_lookbehind temperature top_k top_p typical_p]],
  ["unsloth: its version, its repairs of a tokenizer, the checkpoint that it loaded, how it trained"] = [[
    model_name unsloth_fixed unsloth_tiled_mlp unsloth_version]],
  ["Trainer of transformers, which trl, axolotl and LLaMA-Factory use"] = [[
    gradient_checkpointing keys_to_ignore_at_inference]],
  ["NeMo, mergekit: the version that saved the file"] = [[mergekit_version nemo_version]],
}

local inert = {}
for _, keys in pairs(FROM) do
  for key in keys:gmatch("%S+") do inert[key] = true end
end

return inert
