"""Where step scores come from: the generative critic, trained heads, published reward models, completions."""
